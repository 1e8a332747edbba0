// SPDX-License-Identifier: GPL-2.0-or-later
// Opens or makes one ring on a thread of its own, again and again, so that OBS's threads never wait for the system.
#pragma once

#include "ring.h"

struct keeper;

// NULL if the system gives no thread.
struct keeper *keeper_create(void);
void keeper_destroy(struct keeper *keeper);

// What ring there should be: one to read, or one to write at a size. Cheap when nothing changed. An empty name: none.
void keeper_read(struct keeper *keeper, const char *name);
void keeper_write(struct keeper *keeper, const char *name, uint32_t width, uint32_t height);

// The ring, or NULL while there is none: whichever is right now, unless someone renders from another. Once a frame, by the
// graphics thread, which may use it until the next call. Waits for nothing: OBS holds a lock over all its sources then, and
// who renders may want that one.
const struct ring *keeper_follow(struct keeper *keeper);

// The ring, or NULL, for who is in the graphics context, on any thread: a screenshot is rendered on one of its own. It stays
// until it is returned.
struct ring *keeper_borrow(struct keeper *keeper);
void keeper_return(struct keeper *keeper);

// Why there is none, in one sentence; empty if there is one.
void keeper_trouble(struct keeper *keeper, char why[RING_REASON]);
