"""A worker in a consumer group, driven by LISTEN/NOTIFY, with psycopg 3."""
import select, sys, time
import psycopg

def work(conn):
    """One transaction: consume, act, commit."""
    with conn.transaction():
        messages = conn.execute("SELECT key, value FROM topic.consume_text('billing', 500)").fetchall()
        for key, value in messages:
            conn.execute("INSERT INTO invoice VALUES (%s, (%s::jsonb->>'price')::int)", (key, value))
        conn.execute("SELECT topic.commit('billing')")
    return len(messages)

def session(conn):
    news = []
    conn.add_notify_handler(news.append)
    conn.execute("SELECT topic.subscribe('billing', ARRAY['orders'])")
    conn.execute("SELECT topic.listen('billing')")
    while True:
        news.clear()
        while work(conn):
            pass
        if not news:                           # none came in the meantime
            select.select([conn], [], [])

while True:
    try:
        with psycopg.connect(autocommit=True) as conn:
            session(conn)
    except psycopg.Error as error:             # server lost, removed from the group, ...
        print(error, file=sys.stderr)
        time.sleep(1)
