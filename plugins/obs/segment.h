// SPDX-License-Identifier: GPL-2.0-or-later
// Named shared memory and who owns it: what the operating system knows of a ring, and nothing of pictures.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENT_NAME_MAX 30 // macOS takes 31 characters, the leading slash among them

enum segment_result { SEGMENT_OK, SEGMENT_ABSENT, SEGMENT_TAKEN, SEGMENT_FULL, SEGMENT_REFUSED };

struct segment {
	uint8_t *bytes;
	size_t size;
	void *handle; // Windows' only
};

// Whether every system accepts the name: 1 to 30 of A-Z a-z 0-9 . _ -
bool segment_name_fits(const char *name);

// Map what another program made, for reading.
enum segment_result segment_open(struct segment *segment, const char *name);

// Make `size` zero bytes, really there, to read and write. SEGMENT_TAKEN if the name exists; on Windows the memory
// that exists is mapped all the same, because a name lives on there while anybody has it open.
enum segment_result segment_create(struct segment *segment, const char *name, size_t size);

// Bring what is mapped into this process now, so that reading it later waits for nothing. Only for what was found to be
// ours to read: in another program's memory it would fill holes.
void segment_touch(const struct segment *segment);

void segment_close(struct segment *segment);

// Take the name away; who has the memory mapped keeps it mapped. Windows does so by itself.
void segment_remove(const char *name);

uint64_t this_process(void);

// Whether a process with this id runs, of whichever user.
bool process_runs(uint64_t id);

// Call `found` for every name there is, where the system lists them (Linux); elsewhere for none.
void segment_list(void (*found)(const char *name, void *data), void *data);
