/*-------------------------------------------------------------------------
 *
 * sink.c
 *	  Where consumed messages go: stdout, or a command for each batch.
 *
 * Copyright (c) 2026, pgtopic developers
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/sink.h"

/* Output to stdout is written when so much has come together. */
#define CHUNK (256 * 1024)

/* All or nothing as far as we can tell; errno says why not. */
static bool
write_all(int fd, const char *data, size_t len)
{
	while (len > 0)
	{
		ssize_t		n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		data += n;
		len -= n;
	}
	return true;
}

/* A reader that has gone, as head(1) does, needs no message. */
static void
flush_stdout(Sink *sink)
{
	if (write_all(STDOUT_FILENO, sink->pending.data, sink->pending.len))
		return;
	if (errno == EPIPE)
		exit(EXIT_ERROR);
	fail(EXIT_ERROR, "cannot write: %s", strerror(errno));
}

/*
 * Runs the command with the batch on its stdin.  It need not read all of it:
 * its exit status alone says whether the batch is done.
 */
static bool
run_command(Sink *sink)
{
	int			fds[2];
	int			status;
	pid_t		pid;

	if (pipe(fds) < 0 || (pid = fork()) < 0)
		fail(EXIT_ERROR, "cannot run a command: %s", strerror(errno));
	if (pid == 0)
	{
		signal(SIGPIPE, SIG_DFL);
		dup2(fds[0], STDIN_FILENO);
		close(fds[0]);
		close(fds[1]);
		execl("/bin/sh", "sh", "-c", sink->command, (char *) NULL);
		_exit(127);
	}
	close(fds[0]);
	(void) write_all(fds[1], sink->pending.data, sink->pending.len);
	close(fds[1]);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			fail(EXIT_ERROR, "cannot wait for the command: %s", strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (WIFSIGNALED(status))
		warn("the command was ended by signal %d", WTERMSIG(status));
	else
		warn("the command failed with exit code %d", WEXITSTATUS(status));
	return false;
}

void
sink_add(Sink *sink, const Message *message)
{
	if (sink->json)
		json_message(message, &sink->pending);
	else
		format_message(&sink->format, message, &sink->pending);
	sink->count++;
	if (sink->command == NULL && sink->pending.len >= CHUNK)
	{
		flush_stdout(sink);
		sink->pending.len = 0;
	}
}

/* The end of a batch.  False if the command failed. */
bool
sink_flush(Sink *sink)
{
	bool		good = true;

	if (sink->pending.len > 0)
	{
		if (sink->command)
			good = run_command(sink);
		else
			flush_stdout(sink);
	}
	sink->pending.len = 0;
	return good;
}
