/*-------------------------------------------------------------------------
 *
 * driver.c
 *	  Times one piece of work on a heap table and on a topic, in turns.
 *
 *	driver WORK PAIRS SECONDS CLIENTS HEAP_SQL TOPIC_SQL
 *
 * WORK says what one unit of it is:
 *	  sql		the statement, run once a turn; between turns, not timed,
 *				whatever stands in $RESET is run
 *	  copy		the statement is a COPY FROM STDIN BINARY of $ROWS messages
 *	  batch		the statement gets an array of 1000 messages as $1
 *	  one		the statement gets one message as $1, by CLIENTS sessions
 *	  read		the statement gets a random offset below $ROWS as $1
 * Turns of the last three last SECONDS.  Which side goes first alternates.
 * Prints, for every pair, what a second brought on each side.
 *
 * The connection is that of libpq's environment.  $FORMAT = text or binary is
 * the format of parameters.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include "client.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdint.h>

#define MESSAGE_BYTES	100
#define BATCH_MESSAGES	1000
#define BYTEA_OID		17
#define BYTEA_ARRAY_OID	1001
#define INT8_OID		20
#define COPY_CHUNK		65536

enum
{
	HEAP, TOPIC, SIDES
};

typedef struct Parameter
{
	Oid			type;
	char	   *bytes;			/* NULL: a random offset */
	int			length;
	int			format;			/* 0 text, 1 binary */
} Parameter;

typedef struct Client
{
	pthread_t	thread;
	PGconn	   *conn;
	unsigned int seed;
	long		done;			/* in this turn */
} Client;

static const char *statements[SIDES];
static const char *names[SIDES] = {"heap", "topic"};
static Parameter parameter;
static long rows;
static double seconds;
static int	nclients;
static Client *clients;
static pthread_barrier_t barrier;
static int	side;				/* whose turn it is; -1 = no more turns */
static double deadline;

/* ---------- what is sent ---------- */

static char *
put(char *to, const void *from, size_t length)
{
	memcpy(to, from, length);
	return to + length;
}

static char *
put_int16(char *to, int value)
{
	uint16_t	network = htons((uint16_t) value);

	return put(to, &network, sizeof(network));
}

static char *
put_int32(char *to, int value)
{
	uint32_t	network = htonl((uint32_t) value);

	return put(to, &network, sizeof(network));
}

static char *
put_message(char *to, int number)
{
	char		message[MESSAGE_BYTES + 1];

	snprintf(message, sizeof(message), "%0*d", MESSAGE_BYTES, number);
	return put(to, message, MESSAGE_BYTES);
}

/* A message as text of type bytea: \x and two digits a byte. */
static char *
put_hex(char *to, int number)
{
	char		message[MESSAGE_BYTES];

	put_message(message, number);
	to = put(to, "\\x", 2);
	for (int i = 0; i < MESSAGE_BYTES; i++)
		to += sprintf(to, "%02x", (unsigned char) message[i]);
	return to;
}

static void
make_array(int binary)
{
	char	   *to = parameter.bytes = malloc(BATCH_MESSAGES * (MESSAGE_BYTES * 2 + 16) + 64);

	parameter.type = BYTEA_ARRAY_OID;
	parameter.format = binary;
	if (binary)
	{
		to = put_int32(to, 1);	/* dimensions */
		to = put_int32(to, 0);	/* no NULLs */
		to = put_int32(to, BYTEA_OID);
		to = put_int32(to, BATCH_MESSAGES);
		to = put_int32(to, 1);	/* lower bound */
		for (int i = 0; i < BATCH_MESSAGES; i++)
			to = put_message(put_int32(to, MESSAGE_BYTES), i);
	}
	else
	{
		for (int i = 0; i < BATCH_MESSAGES; i++)
		{
			to = put(to, i == 0 ? "{\"\\" : ",\"\\", 3);
			to = put(put_hex(to, i), "\"", 1);
		}
		to = put(to, "}", 2);
	}
	parameter.length = (int) (to - parameter.bytes);
}

static void
make_one(int binary)
{
	char	   *to = parameter.bytes = malloc(MESSAGE_BYTES * 2 + 16);

	parameter.type = BYTEA_OID;
	parameter.format = binary;
	to = binary ? put_message(to, 1) : put_hex(to, 1);
	parameter.length = (int) (to - parameter.bytes);
	*to = '\0';
}

/* ---------- turns ---------- */

static void
copy_rows(PGconn *conn, const char *statement, const char *bytes, size_t length)
{
	PGresult   *result;

	check(conn, PQexec(conn, statement), PGRES_COPY_IN);
	for (size_t sent = 0; sent < length; sent += COPY_CHUNK)
	{
		size_t		n = length - sent;

		if (PQputCopyData(conn, bytes + sent, (int) (n < COPY_CHUNK ? n : COPY_CHUNK)) != 1)
			exit(1);
	}
	if (PQputCopyEnd(conn, NULL) != 1)
		exit(1);
	while ((result = PQgetResult(conn)) != NULL)
		check(conn, result, PGRES_COMMAND_OK);
}

static char *
make_copy_stream(size_t *length)
{
	char	   *bytes = malloc((size_t) rows * (MESSAGE_BYTES + 6) + 32);
	char	   *to = put(bytes, "PGCOPY\n\377\r\n\0", 11);

	to = put_int32(put_int32(to, 0), 0);
	for (long i = 0; i < rows; i++)
		to = put_message(put_int32(put_int16(to, 1), MESSAGE_BYTES), (int) i);
	to = put_int16(to, -1);
	*length = (size_t) (to - bytes);
	return bytes;
}

/* Turns of one statement each: sql and copy. */
static void
time_statements(int pairs, int copying)
{
	PGconn	   *conn = connect_server();
	const char *reset = setting("RESET", "");
	size_t		length = 0;
	char	   *stream = copying ? make_copy_stream(&length) : NULL;

	for (int pair = -1; pair < pairs; pair++)
	{
		double		rate[SIDES];

		for (int turn = 0; turn < SIDES; turn++)
		{
			int			which = (pair & 1) ? TOPIC - turn : turn;
			double		start;

			if (*reset)
				run(conn, reset);
			start = now();
			if (copying)
				copy_rows(conn, statements[which], stream, length);
			else
				run(conn, statements[which]);
			rate[which] = rows / (now() - start);
		}
		if (pair >= 0)			/* the first pair warms up */
			printf("%.1f %.1f\n", rate[HEAP], rate[TOPIC]);
		fflush(stdout);
	}
	PQfinish(conn);
}

static void
run_parameter(Client *client)
{
	char		number[32];
	const char *value = parameter.bytes;
	int			length = parameter.length;

	if (value == NULL)
	{
		long		random = ((long) rand_r(&client->seed) << 16) ^ rand_r(&client->seed);

		length = sprintf(number, "%ld", random % rows);
		value = number;
	}
	check(client->conn,
		  PQexecPrepared(client->conn, names[side], 1, &value, &length, &parameter.format, 1),
		  PGRES_COMMAND_OK);
	client->done++;
}

/* Turns begin and end at the barrier. */
static void *
client_main(void *arg)
{
	Client	   *client = arg;

	for (;;)
	{
		pthread_barrier_wait(&barrier);
		if (side < 0)
			return NULL;
		client->done = 0;
		while (now() < deadline)
			run_parameter(client);
		pthread_barrier_wait(&barrier);
	}
}

static double
time_turn(int which)
{
	double		start = now();
	long		done = 0;

	side = which;
	deadline = start + seconds;
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < nclients; i++)
		done += clients[i].done;
	return done / (now() - start);
}

/* Turns of many short statements each: batch, one and read. */
static void
time_clients(int pairs)
{
	clients = calloc((size_t) nclients, sizeof(Client));
	pthread_barrier_init(&barrier, NULL, (unsigned int) nclients + 1);
	for (int i = 0; i < nclients; i++)
	{
		PGconn	   *conn = clients[i].conn = connect_server();

		clients[i].seed = (unsigned int) i + 1;
		for (int which = 0; which < SIDES; which++)
			check(conn, PQprepare(conn, names[which], statements[which], 1, &parameter.type),
				  PGRES_COMMAND_OK);
		pthread_create(&clients[i].thread, NULL, client_main, &clients[i]);
	}
	for (int pair = -1; pair < pairs; pair++)
	{
		double		rate[SIDES];

		for (int turn = 0; turn < SIDES; turn++)
		{
			int			which = (pair & 1) ? TOPIC - turn : turn;

			rate[which] = time_turn(which);
		}
		if (pair >= 0)
			printf("%.1f %.1f\n", rate[HEAP], rate[TOPIC]);
		fflush(stdout);
	}
	side = -1;
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < nclients; i++)
	{
		pthread_join(clients[i].thread, NULL);
		PQfinish(clients[i].conn);
	}
}

int
main(int argc, char **argv)
{
	const char *work;
	int			pairs;
	int			binary = strcmp(setting("FORMAT", "binary"), "binary") == 0;

	if (argc != 7)
	{
		fprintf(stderr, "usage: driver WORK PAIRS SECONDS CLIENTS HEAP_SQL TOPIC_SQL\n");
		return 2;
	}
	work = argv[1];
	pairs = atoi(argv[2]);
	seconds = atof(argv[3]);
	nclients = atoi(argv[4]);
	statements[HEAP] = argv[5];
	statements[TOPIC] = argv[6];
	rows = atol(setting("ROWS", "1000000"));

	if (strcmp(work, "sql") == 0 || strcmp(work, "copy") == 0)
		time_statements(pairs, strcmp(work, "copy") == 0);
	else
	{
		if (strcmp(work, "batch") == 0)
			make_array(binary);
		else if (strcmp(work, "one") == 0)
			make_one(binary);
		else
			parameter.type = INT8_OID;
		time_clients(pairs);
	}
	return 0;
}
