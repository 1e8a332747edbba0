// SPDX-License-Identifier: GPL-2.0-or-later
// Pictures between processes, by docs/ring.md: named shared memory, one writer, many readers, newest wins. Nothing here
// waits for anyone. A ring is used by one thread at a time; only ring_owner_runs asks the operating system anything.
#pragma once

#include "segment.h"

#define RING_PUBLIC "latentcast-out" // the ring that `latentcast run` keeps its finished picture in
#define RING_REASON 200              // bytes for a sentence that says why not

// What a picture is, as its writer says it; other programs leave it at RING_UNSAID.
enum ring_kind { RING_UNSAID, RING_EFFECT, RING_INPUT, RING_SLATE, RING_NO_INPUT, RING_HELD_INPUT };

struct ring {
	char name[SEGMENT_NAME_MAX + 1];
	uint32_t width, height;
	uint64_t owner;
	uint64_t unread;   // number of the next picture to read
	struct ring *next; // for lists of rings; not used in ring.c

	struct segment memory;
	uint64_t first, stride;
	uint32_t slots;
	bool ours;
};

// One picture in a ring: `pixels` are height rows of width * 4 bytes, RGBA, not premultiplied, the top row first.
// `time`: when light became pixels, in seconds of the monotonic clock.
struct ring_picture {
	uint64_t number, index, kind;
	double time;
	const uint8_t *pixels;
};

// Open a ring to read it. NULL, and a sentence in `why`, if that cannot be, as when the program that made it has ended.
struct ring *ring_open(const char *name, char why[RING_REASON]);

// Make a ring to write to, and own it. Takes over a name whose owner is dead. NULL and a sentence if that cannot be.
struct ring *ring_create(const char *name, uint32_t width, uint32_t height, char why[RING_REASON]);

// Let go; remove the ring if it is ours. NULL is fine.
void ring_close(struct ring *ring);

// Whether the ring's owner has neither removed it nor been followed by another. Memory only: cheap.
bool ring_is_open(const struct ring *ring);

// Whether the owner's process runs.
bool ring_owner_runs(const struct ring *ring);

// The newest picture, if it was not read yet. Copy the pixels, then ask ring_was_whole: only if that is true is the copy
// of one picture from start to end; it then counts as read.
bool ring_newest(struct ring *ring, struct ring_picture *picture);
bool ring_was_whole(struct ring *ring, const struct ring_picture *picture);

// Where to put the pixels of the next picture; ring_publish makes it the newest one.
uint8_t *ring_begin(struct ring *ring, double time, uint64_t index);
void ring_publish(struct ring *ring);

// Whether a program that runs owns a ring of this name.
bool ring_is_taken(const char *name);

// Whether there is a ring of this name that this program could read.
bool ring_exists(const char *name);
