// SPDX-License-Identifier: GPL-2.0-or-later
#include "hotkeys.h"

#include "generated.h"

#include <string.h>

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

void hotkeys_register(struct hotkeys *hotkeys, obs_source_t *owner)
{
	for (int i = 0; i < HOTKEYS; i++) {
		if (hotkeys->ids[i] != OBS_INVALID_HOTKEY_ID)
			obs_hotkey_unregister(hotkeys->ids[i]);
		hotkeys->ids[i] = obs_hotkey_register_source(owner, table[i].name, table[i].description,
							     table[i].pressed, hotkeys);
	}
}

void hotkeys_create(struct hotkeys *hotkeys, obs_source_t *self)
{
	hotkeys->self = self;
	hotkeys->wanted = NULL;
	for (int i = 0; i < HOTKEYS; i++)
		hotkeys->ids[i] = OBS_INVALID_HOTKEY_ID;
}

void hotkeys_destroy(struct hotkeys *hotkeys)
{
	hotkeys_register(hotkeys, NULL);
	obs_weak_source_release(hotkeys->wanted);
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
