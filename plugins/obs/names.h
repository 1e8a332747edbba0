// SPDX-License-Identifier: GPL-2.0-or-later
// Which ring belongs to which filter of this OBS, so that no two of them meet.
#pragma once

#include "ring.h"

#define FIRST_RING "latentcast-in" // what `latentcast run --in obs-filter` looks for

struct lane {
	char ring[SEGMENT_NAME_MAX + 2];   // the filter writes it
	char answer[SEGMENT_NAME_MAX + 2]; // the engine's picture comes back in it
	int place;                         // 0, 1, 2 ... in the order of creation
};

// Take a name for one filter; false if another one has it.
bool names_claim(const char *ring);
void names_release(const char *ring);

// Claim a free pair of rings: latentcast-in and latentcast-out for the first filter, names made of the filter's own
// for the others.
void names_choose(struct lane *lane, const char *filter_name);
