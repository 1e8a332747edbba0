// SPDX-License-Identifier: GPL-2.0-or-later
// For the tests: preloaded into OBS, it says on stderr where a tick of ours enters the graphics context, or takes the lock
// over all hotkeys. OBS 29 holds the lock over its sources during ticks, and who lets go of a source while drawing, or makes
// one in a hotkey, waits for that lock: such a tick is a dead lock in waiting, however seldom the two meet.
// With LATENTCAST_NO_HOTKEYS in the environment none of our hotkeys is ever registered, so that OBS saves and ends before.
#define _GNU_SOURCE
#include <obs-module.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KINDS 4 // more than we have

typedef void (*tick)(void *data, float seconds);

static _Thread_local bool ticking;
static tick ticks[KINDS];
static int known;

static void run(int kind, void *data, float seconds)
{
	ticking = true;
	ticks[kind](data, seconds);
	ticking = false;
}

// One function for each kind, since OBS hands a tick nothing that tells the kind.
static void tick_0(void *data, float seconds) { run(0, data, seconds); }
static void tick_1(void *data, float seconds) { run(1, data, seconds); }
static void tick_2(void *data, float seconds) { run(2, data, seconds); }
static void tick_3(void *data, float seconds) { run(3, data, seconds); }

void obs_register_source_s(const struct obs_source_info *info, size_t size)
{
	static const tick watched[KINDS] = {tick_0, tick_1, tick_2, tick_3};
	void (*original)(const struct obs_source_info *, size_t) = dlsym(RTLD_NEXT, "obs_register_source_s");
	struct obs_source_info ours;
	if (strncmp(info->id, "latentcast", 10) != 0 || !info->video_tick || known == KINDS) {
		original(info, size);
		return;
	}
	memset(&ours, 0, sizeof(ours));
	memcpy(&ours, info, size < sizeof(ours) ? size : sizeof(ours));
	ticks[known] = info->video_tick;
	ours.video_tick = watched[known++];
	fprintf(stderr, "ticks: watching %s\n", info->id);
	original(&ours, size);
}

obs_hotkey_id obs_hotkey_register_source(obs_source_t *source, const char *name, const char *description,
					 obs_hotkey_func func, void *data)
{
	obs_hotkey_id (*original)(obs_source_t *, const char *, const char *, obs_hotkey_func, void *) =
		dlsym(RTLD_NEXT, "obs_hotkey_register_source");
	if (source && strncmp(name, "latentcast", 10) == 0) {
		if (getenv("LATENTCAST_NO_HOTKEYS"))
			return OBS_INVALID_HOTKEY_ID;
		fprintf(stderr, "ticks: %s registered %s\n", ticking ? "a tick" : "no tick", name);
	}
	return original(source, name, description, func, data);
}

void obs_hotkey_unregister(obs_hotkey_id id)
{
	void (*original)(obs_hotkey_id) = dlsym(RTLD_NEXT, "obs_hotkey_unregister");
	if (ticking)
		fprintf(stderr, "ticks: a tick unregistered a hotkey\n");
	original(id);
}

void obs_enter_graphics(void)
{
	static void (*original)(void);
	if (!original)
		*(void **)&original = dlsym(RTLD_NEXT, "obs_enter_graphics");
	if (ticking)
		fprintf(stderr, "ticks: a tick entered the graphics context\n");
	original();
}
