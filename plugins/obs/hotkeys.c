// SPDX-License-Identifier: GPL-2.0-or-later
#include "hotkeys.h"

#include "generated.h"

#include <string.h>

#define KEYS "hotkeys" // in a filter's settings

static void turn_over(struct hotkeys *hotkeys, const char *name)
{
	obs_data_t *settings = obs_source_get_settings(hotkeys->self);
	obs_data_set_bool(settings, name, !obs_data_get_bool(settings, name));
	obs_data_release(settings);
	obs_source_update(hotkeys->self, NULL);
	obs_source_update_properties(hotkeys->self);
}

static void panic_pressed(void *data, obs_hotkey_id id, obs_hotkey_t *hotkey, bool pressed)
{
	UNUSED_PARAMETER(id);
	UNUSED_PARAMETER(hotkey);
	if (pressed)
		turn_over(data, "panic");
}

static void bypass_pressed(void *data, obs_hotkey_id id, obs_hotkey_t *hotkey, bool pressed)
{
	UNUSED_PARAMETER(id);
	UNUSED_PARAMETER(hotkey);
	if (pressed)
		turn_over(data, "bypass");
}

static void freeze_pressed(void *data, obs_hotkey_id id, obs_hotkey_t *hotkey, bool pressed)
{
	UNUSED_PARAMETER(id);
	UNUSED_PARAMETER(hotkey);
	if (pressed)
		turn_over(data, "freeze");
}

static const char *look_after(const char *prompt)
{
	for (int i = 0; i < LOOK_COUNT; i++)
		if (strcmp(LOOKS[i], prompt) == 0)
			return LOOKS[(i + 1) % LOOK_COUNT];
	return LOOKS[0];
}

static void next_look_pressed(void *data, obs_hotkey_id id, obs_hotkey_t *hotkey, bool pressed)
{
	UNUSED_PARAMETER(id);
	UNUSED_PARAMETER(hotkey);
	struct hotkeys *hotkeys = data;
	if (!pressed)
		return;
	obs_data_t *settings = obs_source_get_settings(hotkeys->self);
	obs_data_set_string(settings, "prompt", look_after(obs_data_get_string(settings, "prompt")));
	obs_data_release(settings);
	obs_source_update(hotkeys->self, NULL);
	obs_source_update_properties(hotkeys->self);
}

static const struct {
	const char *name, *description;
	obs_hotkey_func pressed;
} table[HOTKEYS] = {
	{"latentcast.panic", "Latentcast: panic", panic_pressed},
	{"latentcast.bypass", "Latentcast: bypass", bypass_pressed},
	{"latentcast.freeze", "Latentcast: freeze", freeze_pressed},
	{"latentcast.next_look", "Latentcast: next look", next_look_pressed},
};

// What the user gave to these hotkeys, by their names; NULL unless they are registered.
static obs_data_t *keys_of(const obs_hotkey_id ids[HOTKEYS])
{
	obs_data_t *keys = obs_data_create();
	for (int i = 0; i < HOTKEYS; i++) {
		obs_data_array_t *given = obs_hotkey_save(ids[i]);
		if (!given) {
			obs_data_release(keys);
			return NULL;
		}
		obs_data_set_array(keys, table[i].name, given);
		obs_data_array_release(given);
	}
	return keys;
}

static void clear(obs_hotkey_id ids[HOTKEYS])
{
	for (int i = 0; i < HOTKEYS; i++)
		ids[i] = OBS_INVALID_HOTKEY_ID;
}

static void load_keys(obs_hotkey_id id, obs_data_t *keys, const char *name)
{
	obs_data_array_t *given = obs_data_get_array(keys, name);
	obs_hotkey_load(id, given);
	obs_data_array_release(given);
}

// The ids are published last: a save that comes before takes hotkeys->keys.
static void register_all(struct hotkeys *hotkeys, obs_source_t *owner)
{
	obs_hotkey_id ids[HOTKEYS];
	for (int i = 0; i < HOTKEYS; i++) {
		ids[i] = obs_hotkey_register_source(owner, table[i].name, table[i].description,
						    table[i].pressed, hotkeys);
		if (hotkeys->keys)
			load_keys(ids[i], hotkeys->keys, table[i].name);
	}
	pthread_mutex_lock(&hotkeys->mutex);
	memcpy(hotkeys->ids, ids, sizeof(ids));
	pthread_mutex_unlock(&hotkeys->mutex);
}

// The ids are taken back first: a save that comes after takes hotkeys->keys.
static void unregister_all(struct hotkeys *hotkeys)
{
	obs_hotkey_id ids[HOTKEYS];
	obs_data_t *keys = keys_of(hotkeys->ids);
	if (!keys)
		return;
	pthread_mutex_lock(&hotkeys->mutex);
	obs_data_t *before = hotkeys->keys;
	hotkeys->keys = keys;
	memcpy(ids, hotkeys->ids, sizeof(ids));
	clear(hotkeys->ids);
	pthread_mutex_unlock(&hotkeys->mutex);
	obs_data_release(before);
	for (int i = 0; i < HOTKEYS; i++)
		obs_hotkey_unregister(ids[i]);
}

void hotkeys_register(struct hotkeys *hotkeys, obs_source_t *owner)
{
	unregister_all(hotkeys);
	if (owner)
		register_all(hotkeys, owner);
}

static obs_data_t *kept_keys(struct hotkeys *hotkeys)
{
	pthread_mutex_lock(&hotkeys->mutex);
	obs_data_t *keys = hotkeys->keys;
	obs_data_addref(keys);
	pthread_mutex_unlock(&hotkeys->mutex);
	return keys;
}

void hotkeys_save(struct hotkeys *hotkeys, obs_data_t *settings)
{
	obs_hotkey_id ids[HOTKEYS];
	pthread_mutex_lock(&hotkeys->mutex);
	memcpy(ids, hotkeys->ids, sizeof(ids));
	pthread_mutex_unlock(&hotkeys->mutex);
	obs_data_t *keys = keys_of(ids); // with no lock of ours held: a hotkey may save
	if (!keys)
		keys = kept_keys(hotkeys);
	if (keys)
		obs_data_set_obj(settings, KEYS, keys);
	obs_data_release(keys);
}

void hotkeys_clear_keys(obs_data_t *settings)
{
	obs_data_t *none = obs_data_create();
	obs_data_set_obj(settings, KEYS, none);
	obs_data_release(none);
}

void hotkeys_create(struct hotkeys *hotkeys, obs_source_t *self, obs_data_t *settings)
{
	hotkeys->self = self;
	hotkeys->wanted = NULL;
	pthread_mutex_init(&hotkeys->mutex, NULL);
	clear(hotkeys->ids);
	hotkeys->keys = obs_data_get_obj(settings, KEYS);
}

void hotkeys_destroy(struct hotkeys *hotkeys)
{
	unregister_all(hotkeys);
	obs_data_release(hotkeys->keys);
	obs_weak_source_release(hotkeys->wanted);
	pthread_mutex_destroy(&hotkeys->mutex);
}

struct errand {
	struct hotkeys *hotkeys;
	obs_weak_source_t *owner;
};

static void run(void *data)
{
	struct errand *errand = data;
	obs_source_t *owner = obs_weak_source_get_source(errand->owner);
	hotkeys_register(errand->hotkeys, owner);
	obs_source_release(owner);
	obs_weak_source_release(errand->owner);
	bfree(errand);
}

void hotkeys_follow(struct hotkeys *hotkeys, obs_source_t *owner, os_task_queue_t *errands)
{
	obs_weak_source_t *wanted = obs_source_get_weak_source(owner);
	if (wanted == hotkeys->wanted) {
		obs_weak_source_release(wanted);
		return;
	}
	obs_weak_source_release(hotkeys->wanted);
	hotkeys->wanted = wanted;
	struct errand *errand = bmalloc(sizeof(*errand));
	*errand = (struct errand){.hotkeys = hotkeys, .owner = wanted};
	obs_weak_source_addref(wanted);
	os_task_queue_queue_task(errands, run, errand);
}
