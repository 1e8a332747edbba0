// SPDX-License-Identifier: GPL-2.0-or-later
#include "names.h"

#include <util/threading.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { LANES = 64, BASE_MAX = SEGMENT_NAME_MAX - 4 }; // room for "-out"

static char held[LANES][SEGMENT_NAME_MAX + 2];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

// The place a name has, or that is free for it; -1 if another filter has it, or all are taken.
static int claim(const char *ring)
{
	int place = -1;
	for (int i = LANES - 1; i >= 0; i--) {
		if (strcmp(held[i], ring) == 0)
			return -1;
		if (!*held[i])
			place = i;
	}
	if (place >= 0)
		snprintf(held[place], sizeof(held[place]), "%s", ring);
	return place;
}

bool names_claim(const char *ring)
{
	pthread_mutex_lock(&mutex);
	const bool free = *ring && claim(ring) >= 0;
	pthread_mutex_unlock(&mutex);
	return free;
}

void names_release(const char *ring)
{
	pthread_mutex_lock(&mutex);
	for (int i = 0; i < LANES; i++)
		if (*ring && strcmp(held[i], ring) == 0)
			*held[i] = '\0';
	pthread_mutex_unlock(&mutex);
}

// "obs-" and the filter's name in small letters and digits, dashes for all else: at most BASE_MAX characters.
static void reduce(char *base, const char *name)
{
	size_t length = (size_t)snprintf(base, BASE_MAX + 1, "obs");
	bool gap = true;
	for (; *name && length < BASE_MAX - 3; name++) { // room for "-99"
		const unsigned char letter = (unsigned char)*name;
		const bool plain = letter < 128 && isalnum(letter);
		if (plain && gap)
			base[length++] = '-';
		if (plain)
			base[length++] = (char)tolower(letter);
		gap = !plain;
	}
	base[length] = '\0';
}

static bool choose(struct lane *lane, const char *ring)
{
	if (ring_is_taken(ring) || (lane->place = claim(ring)) < 0)
		return false;
	snprintf(lane->ring, sizeof(lane->ring), "%s", ring);
	if (strcmp(ring, FIRST_RING) == 0)
		snprintf(lane->answer, sizeof(lane->answer), "%s", RING_PUBLIC);
	else
		snprintf(lane->answer, sizeof(lane->answer), "%.26s-out", ring);
	return true;
}

void names_choose(struct lane *lane, const char *filter_name)
{
	char base[SEGMENT_NAME_MAX + 2], ring[SEGMENT_NAME_MAX + 2];
	reduce(base, filter_name);
	pthread_mutex_lock(&mutex);
	bool chosen = choose(lane, FIRST_RING) || choose(lane, base);
	for (int number = 2; !chosen && number < 100; number++) {
		snprintf(ring, sizeof(ring), "%.26s-%d", base, number);
		chosen = choose(lane, ring);
	}
	pthread_mutex_unlock(&mutex);
	if (!chosen)
		*lane = (struct lane){0};
}
