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

// Put the ring, or NULL while there is none, into `ring`. Once a frame, by the graphics thread. Other threads render too,
// a screenshot's for one; so `ring` changes only in the graphics context, and who is in it may use what it found.
void keeper_follow(struct keeper *keeper, struct ring **ring);

// Why there is none, in one sentence; empty if there is one.
void keeper_trouble(struct keeper *keeper, char why[RING_REASON]);
