// SPDX-License-Identifier: GPL-2.0-or-later
// Linux and macOS.
#define _GNU_SOURCE // MAP_POPULATE, MADV_POPULATE_READ
#include "segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MAP_POPULATE
#define MAP_POPULATE 0 // macOS brings pages in when they are touched
#endif

#define FOLDER "/dev/shm" // Linux shows its segments here

static void slashed(char path[SEGMENT_NAME_MAX + 2], const char *name)
{
	snprintf(path, SEGMENT_NAME_MAX + 2, "/%s", name);
}

static enum segment_result refusal(void)
{
	if (errno == ENOENT)
		return SEGMENT_ABSENT;
	if (errno == EEXIST)
		return SEGMENT_TAKEN;
	return errno == ENOSPC || errno == ENOMEM ? SEGMENT_FULL : SEGMENT_REFUSED;
}

static enum segment_result map(struct segment *segment, int file, size_t size, int protection, int flags)
{
	void *bytes = mmap(NULL, size, protection, MAP_SHARED | flags, file, 0);
	if (bytes == MAP_FAILED)
		return refusal();
	*segment = (struct segment){.bytes = bytes, .size = size};
	return SEGMENT_OK;
}

enum segment_result segment_open(struct segment *segment, const char *name)
{
	char path[SEGMENT_NAME_MAX + 2];
	slashed(path, name);
	const int file = shm_open(path, O_RDONLY, 0);
	if (file < 0)
		return refusal();
	struct stat about;
	enum segment_result result = SEGMENT_REFUSED;
	if (fstat(file, &about) == 0 && about.st_size > 0)
		result = map(segment, file, (size_t)about.st_size, PROT_READ, 0);
	close(file);
	return result;
}

// Claim the pages now: on a full /dev/shm, touching one later would end the program.
static bool reserve(int file, size_t size)
{
#ifdef __linux__
	const int problem = posix_fallocate(file, 0, (off_t)size);
	errno = problem;
	return problem == 0;
#else
	return ftruncate(file, (off_t)size) == 0;
#endif
}

enum segment_result segment_create(struct segment *segment, const char *name, size_t size)
{
	char path[SEGMENT_NAME_MAX + 2];
	slashed(path, name);
	const int file = shm_open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (file < 0)
		return refusal();
	const enum segment_result result =
		reserve(file, size) ? map(segment, file, size, PROT_READ | PROT_WRITE, MAP_POPULATE) : refusal();
	close(file);
	if (result != SEGMENT_OK)
		shm_unlink(path);
	return result;
}

void segment_touch(const struct segment *segment)
{
#ifdef MADV_POPULATE_READ // Linux 5.14
	madvise(segment->bytes, segment->size, MADV_POPULATE_READ);
#else
	(void)segment;
#endif
}

void segment_close(struct segment *segment)
{
	if (segment->bytes)
		munmap(segment->bytes, segment->size);
	*segment = (struct segment){0};
}

void segment_remove(const char *name)
{
	char path[SEGMENT_NAME_MAX + 2];
	slashed(path, name);
	shm_unlink(path);
}

uint64_t this_process(void)
{
	return (uint64_t)getpid();
}

bool process_runs(uint64_t id)
{
	const pid_t process = (pid_t)id;
	return process > 0 && (uint64_t)process == id && (kill(process, 0) == 0 || errno == EPERM);
}

void segment_list(void (*found)(const char *name, void *data), void *data)
{
	DIR *folder = opendir(FOLDER);
	if (!folder)
		return;
	for (const struct dirent *entry; (entry = readdir(folder));)
		if (segment_name_fits(entry->d_name) && entry->d_name[0] != '.')
			found(entry->d_name, data);
	closedir(folder);
}
