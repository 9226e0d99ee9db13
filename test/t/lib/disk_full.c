/*
 * disk_full.c: a disk that is full while a file exists
 *
 * Preloaded into a server.  While the file that DISK_FULL_FLAG names exists,
 * whatever would make a file of a relation longer fails with ENOSPC; the rest
 * works as on a disk that is full: what is allocated already can be written.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int
full(int fd, off_t end)
{
	const char *flag = getenv("DISK_FULL_FLAG");
	char		name[64];
	char		path[4096];
	ssize_t		len;
	struct stat st;

	if (flag == NULL || access(flag, F_OK) != 0)
		return 0;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	len = readlink(name, path, sizeof(path) - 1);
	if (len < 0)
		return 0;
	path[len] = '\0';
	return strstr(path, "/base/") != NULL && strstr(path, "pgsql_tmp") == NULL &&
		fstat(fd, &st) == 0 && end > st.st_size;
}

static off_t
total(const struct iovec *iov, int count)
{
	off_t		sum = 0;

	while (count-- > 0)
		sum += (iov++)->iov_len;
	return sum;
}

#define PASS_ON(result, name, types, args, fd, end, failed) \
result \
name types \
{ \
	static result (*next) types; \
\
	if (next == NULL) \
		next = (result (*) types) dlsym(RTLD_NEXT, #name); \
	if (full(fd, end)) \
		return failed; \
	return next args; \
}

PASS_ON(ssize_t, pwrite, (int fd, const void *data, size_t len, off_t at), (fd, data, len, at), fd, at + (off_t) len, (errno = ENOSPC, -1))
PASS_ON(ssize_t, pwrite64, (int fd, const void *data, size_t len, off_t at), (fd, data, len, at), fd, at + (off_t) len, (errno = ENOSPC, -1))
PASS_ON(ssize_t, pwritev, (int fd, const struct iovec *iov, int count, off_t at), (fd, iov, count, at), fd, at + total(iov, count), (errno = ENOSPC, -1))
PASS_ON(ssize_t, pwritev64, (int fd, const struct iovec *iov, int count, off_t at), (fd, iov, count, at), fd, at + total(iov, count), (errno = ENOSPC, -1))
PASS_ON(int, posix_fallocate, (int fd, off_t at, off_t len), (fd, at, len), fd, at + len, ENOSPC)
PASS_ON(int, posix_fallocate64, (int fd, off_t at, off_t len), (fd, at, len), fd, at + len, ENOSPC)
