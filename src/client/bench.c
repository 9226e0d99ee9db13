/*-------------------------------------------------------------------------
 *
 * bench.c
 *	  pgtopic bench: what kafka-producer-perf-test, kafka-consumer-perf-test and
 *	  Kafka's EndToEndLatency measure.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>

#include "client/client.h"
#include "client/message.h"
#include "client/sender.h"

#define FETCH_BATCH 50000

typedef struct Bench
{
	const char *topic;
	int64_t		records;
	int			size;
	double		throughput;		/* messages a second; 0: as fast as it goes */
	int64_t		batch;
	const char *synchronous_commit;
} Bench;

enum
{
	OPTION_ACKS = 1, OPTION_BATCH
};

static const struct option longs[] = {
	{"records", required_argument, NULL, 'n'},
	{"size", required_argument, NULL, 's'},
	{"throughput", required_argument, NULL, 't'},
	{"acks", required_argument, NULL, OPTION_ACKS},
	{"batch", required_argument, NULL, OPTION_BATCH},
	{NULL, 0, NULL, 0}
};

static int
compare_floats(const void *a, const void *b)
{
	float		x = *(const float *) a;
	float		y = *(const float *) b;

	return (x > y) - (x < y);
}

/* Latencies, in ms, and what the rates are. */
static void
report(const Bench *bench, int64_t n, double seconds, float *latencies)
{
	static const double percents[] = {50, 95, 99, 99.9};
	double		rate = n / (seconds > 0 ? seconds : 1e-9);
	double		mb = rate * bench->size / 1e6;
	double		sum = 0;

	if (latencies)
	{
		for (int64_t i = 0; i < n; i++)
			sum += latencies[i];
		qsort(latencies, n, sizeof(float), compare_floats);
	}
	if (json_wanted)
		printf("{\"records\":%" PRId64 ",\"seconds\":%.3f,\"records_per_second\":%.1f,\"mb_per_second\":%.2f",
			   n, seconds, rate, mb);
	else
		printf("%" PRId64 " records, %.1f records/s (%.2f MB/s)", n, rate, mb);
	if (latencies && n > 0)
	{
		printf(json_wanted ? ",\"avg_ms\":%.3f,\"max_ms\":%.3f" : ", %.2f ms avg latency, %.2f ms max latency",
			   sum / n, latencies[n - 1]);
		for (int i = 0; i < 4; i++)
			printf(json_wanted ? ",\"p%g_ms\":%.3f" : ", p%g %.2f ms", percents[i],
				   latencies[(int64_t) ((n - 1) * percents[i] / 100)]);
	}
	puts(json_wanted ? "}" : "");
}

/* Bytes that do not compress to nothing. */
static char *
make_payload(int size)
{
	char	   *payload = checked_alloc(NULL, size);
	uint32_t	state = 1;

	for (int i = 0; i < size; i++)
	{
		state = state * 1103515245 + 12345;
		payload[i] = 'A' + (state >> 16) % 26;
	}
	return payload;
}

static PGconn *
connect_bench(const Bench *bench)
{
	const char *params[] = {bench->synchronous_commit};
	PGconn	   *conn = connect_server();

	PQclear(query(conn, "SELECT pg_catalog.set_config('synchronous_commit', $1, false)", 1, params));
	return conn;
}

/*
 * A message's latency is from when it is due to when its transaction is
 * committed, so that waiting for one's turn counts.
 */
static void
bench_produce(const Bench *bench)
{
	Sender		sender;
	Bytes		value = {make_payload(bench->size), bench->size};
	float	   *latencies = checked_alloc(NULL, bench->records * sizeof(float));
	int64_t		sent = 0;
	int64_t		done = 0;
	double		began;

	sender_init(&sender, connect_bench(bench), bench->topic, -1, false, NULL, 0);
	began = now();
	while (sent < bench->records && !interrupted)
	{
		double		t = now();

		if (bench->throughput > 0 && began + sent / bench->throughput > t)
		{
			/* what is due has been sent; commit it while the next becomes due */
			if (!sender.open)
			{
				sleep_seconds(began + sent / bench->throughput - t);
				continue;
			}
		}
		else
		{
			latencies[sent] = (float) (bench->throughput > 0 ? sent / bench->throughput : t - began);
			sent++;
			sender_add(&sender, null_bytes, value);
			if (sender.in_batch < bench->batch && sent < bench->records)
				continue;
		}
		sender_commit(&sender);
		for (t = now() - began; done < sent; done++)
			latencies[done] = (float) ((t - latencies[done]) * 1000);
	}
	sender_commit(&sender);
	report(bench, done, now() - began, latencies);
	PQfinish(sender.conn);
}

static void
bench_consume(Bench *bench)
{
	PGconn	   *conn = connect_bench(bench);
	PGresult   *partitions = query(conn, "SELECT partition, log_start_offset FROM topic.list_offsets($1)", 1, &bench->topic);
	int64_t		count = 0;
	int64_t		bytes = 0;
	double		began = now();

	for (int p = 0; p < PQntuples(partitions); p++)
	{
		int64_t		next = strtoll(PQgetvalue(partitions, p, 1), NULL, 10);
		int64_t		before = -1;

		while (count < bench->records && count != before && !interrupted)
		{
			char	   *topic = PQescapeLiteral(conn, bench->topic, strlen(bench->topic));
			int64_t		wanted = bench->records - count < FETCH_BATCH ? bench->records - count : FETCH_BATCH;
			Buffer		sql = {0};
			char		text[128];
			char	   *row;
			int			len;
			PGresult   *result;
			bool		first = true;

			before = count;
			buffer_add_string(&sql, "COPY (SELECT log_offset, value FROM topic.fetch(");
			buffer_add_string(&sql, topic);
			snprintf(text, sizeof(text), ", %s, %" PRId64 ", %" PRId64 ")) TO STDOUT (FORMAT binary)",
					 PQgetvalue(partitions, p, 0), next, wanted);
			buffer_add_string(&sql, text);
			result = PQexec(conn, buffer_string(&sql));
			if (PQresultStatus(result) != PGRES_COPY_OUT)
				fail_query(conn, result);
			PQclear(result);
			while ((len = PQgetCopyData(conn, &row, 0)) > 0)
			{
				Message		message;
				int			skip = first ? 19 : 0;

				first = false;
				if (message_from_copy(&message, COLUMN_VALUE, row + skip, len - skip))
				{
					next = message.offset + 1;
					count++;
					bytes += message.value.len > 0 ? message.value.len : 0;
				}
				PQfreemem(row);
			}
			while ((result = PQgetResult(conn)) != NULL)
			{
				if (PQresultStatus(result) != PGRES_COMMAND_OK)
					fail_query(conn, result);
				PQclear(result);
			}
			PQfreemem(topic);
			free(sql.data);
		}
	}
	bench->size = count > 0 ? (int) (bytes / count) : 0;
	report(bench, count, now() - began, NULL);
	PQclear(partitions);
	PQfinish(conn);
}

/*
 * One message after the other: a consumer waits in the server, a producer
 * commits, and the time is from before the commit to when the consumer has it.
 */
static void
bench_e2e(const Bench *bench)
{
	PGconn	   *producer = connect_bench(bench);
	PGconn	   *consumer = connect_bench(bench);
	char	   *payload = make_payload(bench->size);
	float	   *latencies = checked_alloc(NULL, bench->records * sizeof(float));
	PGresult   *ends = query(consumer, "SELECT log_end_offset FROM topic.list_offsets($1) WHERE partition = 0", 1,
							 &bench->topic);
	int64_t		next = strtoll(PQgetvalue(ends, 0, 0), NULL, 10);
	int64_t		done = 0;
	double		began = now();

	for (; done < bench->records && !interrupted; done++)
	{
		char		offset[24];
		const char *fetch_params[] = {bench->topic, offset};
		const char *params[] = {bench->topic, payload};
		int			lengths[] = {0, bench->size};
		int			formats[] = {0, 1};
		PGresult   *result;
		double		t;

		if (bench->throughput > 0)
			sleep_seconds(began + done / bench->throughput - now());
		snprintf(offset, sizeof(offset), "%" PRId64, next);
		if (PQsendQueryParams(consumer, "SELECT log_offset FROM topic.fetch($1, 0, $2, 1, '10 s')", 2, NULL, fetch_params,
							  NULL, NULL, 0) != 1)
			fail_query(consumer, NULL);
		t = now();
		result = PQexecParams(producer, "SELECT topic.produce_record($1, $2, partition => 0)", 2, NULL, params,
							  lengths, formats, 0);
		if (PQresultStatus(result) != PGRES_TUPLES_OK)
			fail_query(producer, result);
		PQclear(result);
		result = PQgetResult(consumer);
		if (PQresultStatus(result) != PGRES_TUPLES_OK)
			fail_query(consumer, result);
		if (PQntuples(result) == 0)
			fail(EXIT_ERROR, "a message did not arrive within 10 s");
		latencies[done] = (float) ((now() - t) * 1000);
		next = strtoll(PQgetvalue(result, 0, 0), NULL, 10) + 1;
		PQclear(result);
		while ((result = PQgetResult(consumer)) != NULL)
			PQclear(result);
	}
	report(bench, done, now() - began, latencies);
	PQclear(ends);
	PQfinish(producer);
	PQfinish(consumer);
}

/* Kafka's words for how safe a commit is, and PostgreSQL's. */
static const char *
commit_setting(const char *acks)
{
	if (strcmp(acks, "0") == 0)
		return "off";
	if (strcmp(acks, "1") == 0)
		return "local";
	if (strcmp(acks, "all") == 0 || strcmp(acks, "-1") == 0)
		return "on";
	return acks;
}

int
run_bench(int argc, char **argv)
{
	Bench		bench = {.records = 1000000,.size = 100,.batch = 1000,.synchronous_commit = "on"};
	bool		records_given = false;
	int			c;

	while ((c = next_option(argc, argv, "n:s:t:", longs)) != -1)
	{
		switch (c)
		{
			case 'n':
				bench.records = parse_number(optarg, 1, 1000000000, "--records");
				records_given = true;
				break;
			case 's':
				bench.size = (int) parse_number(optarg, 0, 100000000, "--size");
				break;
			case 't':
				bench.throughput = (double) parse_number(optarg, 1, 100000000, "--throughput");
				break;
			case OPTION_ACKS:
				bench.synchronous_commit = commit_setting(optarg);
				break;
			case OPTION_BATCH:
				bench.batch = parse_number(optarg, 1, INT32_MAX, "--batch");
				break;
		}
	}
	if (optind != argc - 2)
		usage("what (produce, consume or e2e) and a topic must be given");
	bench.topic = argv[optind + 1];
	catch_interrupts();
	if (strcmp(argv[optind], "produce") == 0)
		bench_produce(&bench);
	else if (strcmp(argv[optind], "consume") == 0)
		bench_consume(&bench);
	else if (strcmp(argv[optind], "e2e") == 0)
	{
		if (!records_given)
			bench.records = 10000;
		bench_e2e(&bench);
	}
	else
		usage("there is no bench \"%s\"; there are produce, consume and e2e", argv[optind]);
	return EXIT_OK;
}
