// SPDX-License-Identifier: GPL-2.0-or-later
// The hotkeys of a source or a filter: panic, bypass, freeze, next look. They turn its settings, as its properties do.
#pragma once

#include <obs-module.h>
#include <util/task.h>
#include <util/threading.h>

enum { HOTKEYS = 4 };

struct hotkeys {
	obs_source_t *self;        // whose settings they turn
	obs_weak_source_t *wanted; // whose they are to be; of the ticks

	pthread_mutex_t mutex; // guards these, for moments
	obs_hotkey_id ids[HOTKEYS];
	obs_data_t *keys; // what the user gave them, while they are not registered; NULL: what OBS has kept
};

// OBS saves a filter's keys with its source, and only while they are registered, which may begin after OBS has saved. So a
// filter keeps its keys in its own settings too, and takes them from there.
void hotkeys_create(struct hotkeys *hotkeys, obs_source_t *self, obs_data_t *settings);
void hotkeys_save(struct hotkeys *hotkeys, obs_data_t *settings);

// For the settings of a filter that is new or a copy: none of the keys is meant for it.
void hotkeys_clear_keys(obs_data_t *settings);

// When nothing that was queued by hotkeys_follow is left.
void hotkeys_destroy(struct hotkeys *hotkeys);

// Whose hotkeys they are, in OBS's settings and files; NULL for none. OBS calls hotkeys with the lock over all of them held,
// and what they do may take any other: so not from a tick, which is called with the lock over all sources.
void hotkeys_register(struct hotkeys *hotkeys, obs_source_t *owner);

// Have that done on the thread of `errands` when the owner is another one than before. Cheap otherwise, and for a tick. A
// filter's owner is its source, because OBS registers no hotkeys for filters.
void hotkeys_follow(struct hotkeys *hotkeys, obs_source_t *owner, os_task_queue_t *errands);
