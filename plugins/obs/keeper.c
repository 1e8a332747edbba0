// SPDX-License-Identifier: GPL-2.0-or-later
#include "keeper.h"

#include "plugin.h"

#include <util/bmem.h>
#include <util/platform.h>
#include <util/threading.h>

#include <stdio.h>
#include <string.h>

#define NAP_MS 100      // between two attempts
#define OWNER_LOOKS 10  // naps between two looks at whether the owner's process runs

struct wish {
	char name[SEGMENT_NAME_MAX + 2]; // one more than fits, so that a name too long stays too long
	uint32_t width, height;          // 0: to read
};

struct keeper {
	pthread_t thread;
	os_event_t *wake;
	volatile bool ending;

	pthread_mutex_t mutex; // guards the rest, for moments
	struct wish wish;
	struct ring *used;    // what is read or written
	struct ring *offered; // ready for that
	struct ring *retired; // a list of what was let go of
	int borrowers;        // who render from `used` at the moment
	bool orphaned;        // the owner of `used` is dead
	char trouble[RING_REASON];
};

static void retire(struct keeper *keeper, struct ring **ring)
{
	if (!*ring)
		return;
	(*ring)->next = keeper->retired;
	keeper->retired = *ring;
	*ring = NULL;
}

static void close_all(struct ring *list)
{
	while (list) {
		struct ring *next = list->next;
		ring_close(list);
		list = next;
	}
}

// Remember a sentence; whether it is a new one.
static bool note(struct keeper *keeper, const char *trouble)
{
	const bool new = strcmp(keeper->trouble, trouble) != 0;
	snprintf(keeper->trouble, sizeof(keeper->trouble), "%s", trouble);
	return new && *trouble;
}

static struct ring *attempt(const struct wish *wish, char why[RING_REASON])
{
	return wish->width ? ring_create(wish->name, wish->width, wish->height, why) : ring_open(wish->name, why);
}

// Try to get what is wished for, if it is missing; nothing slow happens under the mutex.
static void look_for_ring(struct keeper *keeper)
{
	pthread_mutex_lock(&keeper->mutex);
	const struct wish wish = keeper->wish;
	const bool missing = *wish.name && !keeper->used && !keeper->offered;
	struct ring *done = keeper->retired;
	keeper->retired = NULL;
	pthread_mutex_unlock(&keeper->mutex);

	close_all(done); // first: a ring of another size may take its name
	if (!missing)
		return;
	char why[RING_REASON] = "";
	bool new = false;
	struct ring *found = attempt(&wish, why);

	pthread_mutex_lock(&keeper->mutex);
	if (memcmp(&wish, &keeper->wish, sizeof(wish)) == 0) {
		keeper->offered = found;
		new = note(keeper, why);
		found = NULL;
	}
	pthread_mutex_unlock(&keeper->mutex);
	ring_close(found);
	if (new)
		say(LOG_INFO, "%s", why); // once, and outside the mutex: a log is a file
}

static void look_for_owner(struct keeper *keeper)
{
	pthread_mutex_lock(&keeper->mutex);
	const struct ring *ring = keeper->used;
	const struct ring copy = ring ? *ring : (struct ring){0};
	pthread_mutex_unlock(&keeper->mutex);

	const bool orphaned = ring && !copy.ours && !ring_owner_runs(&copy);

	pthread_mutex_lock(&keeper->mutex);
	keeper->orphaned = orphaned && ring == keeper->used;
	pthread_mutex_unlock(&keeper->mutex);
}

static void *keep(void *data)
{
	struct keeper *keeper = data;
	os_set_thread_name("latentcast: rings");
	for (int nap = 0; !keeper->ending; nap++) {
		look_for_ring(keeper);
		if (nap % OWNER_LOOKS == 0)
			look_for_owner(keeper);
		os_event_timedwait(keeper->wake, NAP_MS);
	}
	return NULL;
}

struct keeper *keeper_create(void)
{
	struct keeper *keeper = bzalloc(sizeof(*keeper));
	pthread_mutex_init(&keeper->mutex, NULL);
	if (os_event_init(&keeper->wake, OS_EVENT_TYPE_AUTO) == 0 &&
	    pthread_create(&keeper->thread, NULL, keep, keeper) == 0)
		return keeper;
	os_event_destroy(keeper->wake);
	pthread_mutex_destroy(&keeper->mutex);
	bfree(keeper);
	return NULL;
}

void keeper_destroy(struct keeper *keeper)
{
	if (!keeper)
		return;
	keeper->ending = true;
	os_event_signal(keeper->wake);
	pthread_join(keeper->thread, NULL);
	close_all(keeper->retired);
	ring_close(keeper->offered);
	ring_close(keeper->used);
	os_event_destroy(keeper->wake);
	pthread_mutex_destroy(&keeper->mutex);
	bfree(keeper);
}

static void change(struct keeper *keeper, const struct wish *wish)
{
	pthread_mutex_lock(&keeper->mutex);
	const bool new = memcmp(wish, &keeper->wish, sizeof(*wish)) != 0;
	if (new) {
		keeper->wish = *wish;
		retire(keeper, &keeper->offered);
	}
	pthread_mutex_unlock(&keeper->mutex);
	if (new)
		os_event_signal(keeper->wake);
}

void keeper_write(struct keeper *keeper, const char *name, uint32_t width, uint32_t height)
{
	struct wish wish;
	memset(&wish, 0, sizeof(wish)); // wishes are compared byte for byte
	snprintf(wish.name, sizeof(wish.name), "%s", name);
	wish.width = width;
	wish.height = height;
	change(keeper, &wish);
}

void keeper_read(struct keeper *keeper, const char *name)
{
	keeper_write(keeper, name, 0, 0);
}

static bool serves(const struct ring *ring, const struct wish *wish)
{
	const bool sized = !wish->width || (ring->width == wish->width && ring->height == wish->height);
	return sized && strcmp(ring->name, wish->name) == 0 && ring->ours == (wish->width > 0) && ring_is_open(ring);
}

static bool is_spent(const struct keeper *keeper)
{
	return keeper->used && (keeper->orphaned || !serves(keeper->used, &keeper->wish));
}

static void change_ring(struct keeper *keeper)
{
	if (is_spent(keeper)) {
		retire(keeper, &keeper->used);
		keeper->orphaned = false;
	}
	if (!keeper->used && keeper->offered) {
		keeper->used = keeper->offered;
		keeper->offered = NULL;
	}
}

const struct ring *keeper_follow(struct keeper *keeper)
{
	pthread_mutex_lock(&keeper->mutex);
	if (!keeper->borrowers) // else the next frame will do
		change_ring(keeper);
	const struct ring *ring = keeper->used;
	pthread_mutex_unlock(&keeper->mutex);
	return ring;
}

struct ring *keeper_borrow(struct keeper *keeper)
{
	pthread_mutex_lock(&keeper->mutex);
	keeper->borrowers++;
	struct ring *ring = keeper->used;
	pthread_mutex_unlock(&keeper->mutex);
	return ring;
}

void keeper_return(struct keeper *keeper)
{
	pthread_mutex_lock(&keeper->mutex);
	keeper->borrowers--;
	pthread_mutex_unlock(&keeper->mutex);
}

void keeper_trouble(struct keeper *keeper, char why[RING_REASON])
{
	pthread_mutex_lock(&keeper->mutex);
	snprintf(why, RING_REASON, "%s", keeper->trouble);
	pthread_mutex_unlock(&keeper->mutex);
}
