/*-------------------------------------------------------------------------
 *
 * produce.c
 *	  pgtopic produce: records of stdin or files become messages.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "client/client.h"
#include "client/format.h"
#include "client/sender.h"

#define READ_SIZE (256 * 1024)
#define MAX_HEADERS 64
#define PROGRESS_EVERY 0.5
#define LONGEST_OVERTIME 1.0

enum
{
	OPTION_DELIMITER = 1, OPTION_BATCH, OPTION_LINGER
};

static const struct option longs[] = {
	{"key-delimiter", required_argument, NULL, 'K'},
	{"header", required_argument, NULL, 'H'},
	{"partition", required_argument, NULL, 'p'},
	{"null", required_argument, NULL, 'z'},
	{"delimiter", required_argument, NULL, 'D'},
	{"batch", required_argument, NULL, OPTION_BATCH},
	{"linger", required_argument, NULL, OPTION_LINGER},
	{"quiet", no_argument, NULL, 'q'},
	{NULL, 0, NULL, 0}
};

typedef struct Producing
{
	Sender		sender;
	Buffer		delimiter;
	Buffer		key_delimiter;	/* empty: no keys */
	const char *null_marker;
	int64_t		batch;			/* messages of a transaction at most */
	double		linger;			/* seconds that a message waits for others */
	double		batch_began;
	bool		progress;
	double		began;
	double		shown;
} Producing;

static void
show_progress(Producing *p, bool last)
{
	double		t = now();
	double		seconds;
	int64_t		n = p->sender.committed + p->sender.in_batch;

	if (!p->progress || (!last && t - p->shown < PROGRESS_EVERY))
		return;
	p->shown = t;
	seconds = t - p->began > 0.001 ? t - p->began : 0.001;
	fprintf(stderr, "\r%s messages, %s/s, %.1f MB/s \033[K%s", with_separators(n),
			with_separators((int64_t) (n / seconds)), p->sender.bytes / seconds / 1e6, last ? "\n" : "");
}

static bool
is_null(const Producing *p, Bytes bytes)
{
	return p->null_marker && (size_t) bytes.len == strlen(p->null_marker) &&
		memcmp(bytes.data, p->null_marker, bytes.len) == 0;
}

static void
check_record(size_t len)
{
	if (len > INT32_MAX / 2)
		fail(EXIT_ERROR, "a record has more than 1 GB; is the delimiter right?");
}

/* One record: "key delimiter value", or only a value. */
static void
add_record(Producing *p, const char *data, size_t len)
{
	Bytes		key = null_bytes;
	Bytes		value = {data, (int) len};

	check_record(len);
	if (p->key_delimiter.len > 0)
	{
		const char *at = memmem(data, len, p->key_delimiter.data, p->key_delimiter.len);

		if (at)
		{
			key = (Bytes) {data, (int) (at - data)};
			value.data = at + p->key_delimiter.len;
			value.len = (int) (data + len - value.data);
			if (is_null(p, key))
				key = null_bytes;
		}
	}
	if (is_null(p, value))
		value = null_bytes;
	if (!p->sender.open)
		p->batch_began = now();
	sender_add(&p->sender, key, value);
	if (p->sender.in_batch >= p->batch)
		sender_commit(&p->sender);
}

static const char *
find_delimiter(const Producing *p, const char *from, const char *end)
{
	if (p->delimiter.len == 1)
		return memchr(from, p->delimiter.data[0], end - from);
	return memmem(from, end - from, p->delimiter.data, p->delimiter.len);
}

/*
 * Records that are complete; what is left of the buffer is moved to its beginning.
 * No delimiter begins in its first *searched bytes, before and after: a large
 * record, which comes in many pieces, is not searched from its beginning each time.
 */
static void
take_records(Producing *p, Buffer *in, size_t *searched)
{
	const char *at = in->data;
	const char *end = in->data + in->len;
	const char *found = find_delimiter(p, at + *searched, end);

	while (found != NULL)
	{
		add_record(p, at, found - at);
		at = found + p->delimiter.len;
		found = find_delimiter(p, at, end);
	}
	in->len = end - at;
	memmove(in->data, at, in->len);
	*searched = in->len < p->delimiter.len ? 0 : in->len - p->delimiter.len + 1;
	check_record(in->len);
}

/*
 * Commits what has waited long enough.  While input is at hand the batch's size
 * decides, so that a file does not become a transaction every few ms, but a
 * message never waits for more than a second longer.
 */
static void
wait_for_input(Producing *p, int fd)
{
	struct pollfd input = {.fd = fd,.events = POLLIN};
	double		left;

	if (!p->sender.open)
		return;
	left = p->batch_began + p->linger - now();
	if (left < -LONGEST_OVERTIME || poll(&input, 1, left > 0 ? (int) (left * 1000) + 1 : 0) == 0)
		sender_commit(&p->sender);
}

static void
produce_file(Producing *p, int fd, const char *name)
{
	Buffer		in = {0};
	size_t		searched = 0;
	ssize_t		n = 1;

	while (!interrupted)
	{
		wait_for_input(p, fd);
		buffer_reserve(&in, READ_SIZE);
		n = read(fd, in.data + in.len, in.size - in.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
		{
			int			error = errno;

			sender_commit(&p->sender);
			fail(EXIT_ERROR, "cannot read \"%s\": %s", name, strerror(error));
		}
		if (n == 0)
			break;
		in.len += n;
		take_records(p, &in, &searched);
		show_progress(p, false);
	}
	/* the last record may lack the delimiter; half a record after Ctrl-C is none */
	if (n == 0 && in.len > 0)
		add_record(p, in.data, in.len);
	free(in.data);
}

static void
unescape_option(const char *text, Buffer *out, const char *what)
{
	const char *wrong = unescape(text, out);

	if (wrong)
		usage("%s: %s", what, wrong);
	if (out->len == 0)
		usage("%s must not be empty", what);
}

int
run_produce(int argc, char **argv)
{
	Producing	p = {.batch = 50000,.linger = 0.005};
	const char *headers[MAX_HEADERS];
	int			nheaders = 0;
	int			partition = -1;
	bool		quiet = false;
	int			first_file;
	int			c;

	while ((c = next_option(argc, argv, "K:H:p:z:D:q", longs)) != -1)
	{
		switch (c)
		{
			case 'K':
				unescape_option(optarg, &p.key_delimiter, "key delimiter");
				break;
			case 'H':
				if (nheaders == MAX_HEADERS)
					usage("there are more than %d headers", MAX_HEADERS);
				headers[nheaders++] = optarg;
				break;
			case 'p':
				partition = (int) parse_number(optarg, 0, INT32_MAX, "partition");
				break;
			case 'z':
				p.null_marker = optarg;
				break;
			case 'D':
				unescape_option(optarg, &p.delimiter, "delimiter");
				break;
			case OPTION_BATCH:
				p.batch = parse_number(optarg, 1, INT32_MAX, "--batch");
				break;
			case OPTION_LINGER:
				p.linger = parse_number(optarg, 0, 3600000, "--linger") / 1000.0;
				break;
			case 'q':
				quiet = true;
				break;
		}
	}
	if (optind >= argc)
		usage("no topic given");
	if (p.delimiter.len == 0)
		buffer_add_char(&p.delimiter, '\n');
	first_file = optind + 1;
	sender_init(&p.sender, connect_server(), argv[optind], partition, p.key_delimiter.len > 0, headers, nheaders);
	catch_interrupts();
	p.progress = !quiet && progress_wanted(first_file < argc ? -1 : STDIN_FILENO);
	p.began = p.shown = now();
	if (first_file == argc)
		produce_file(&p, STDIN_FILENO, "stdin");
	for (int i = first_file; i < argc && !interrupted; i++)
	{
		int			fd = open(argv[i], O_RDONLY);

		if (fd < 0)
		{
			int			error = errno;

			sender_commit(&p.sender);
			fail(EXIT_ERROR, "cannot open \"%s\": %s", argv[i], strerror(error));
		}
		produce_file(&p, fd, argv[i]);
		close(fd);
	}
	sender_commit(&p.sender);
	show_progress(&p, true);
	PQfinish(p.sender.conn);
	if (interrupted)
		fail(EXIT_ERROR, "stopped; %s messages are committed", with_separators(p.sender.committed));
	return EXIT_OK;
}
