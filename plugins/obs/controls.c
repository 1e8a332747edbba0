// SPDX-License-Identifier: GPL-2.0-or-later
#include "controls.h"

#include <stdio.h>
#include <string.h>

#define PROMPT_QUIET 0.4f // seconds
#define ROOT "/latentcast/"

static struct control_value read_value(const struct control_row *row, obs_data_t *settings)
{
	struct control_value value = {.text = NULL};
	if (row->type == OSC_TEXT)
		value.text = bstrdup(obs_data_get_string(settings, row->name));
	else if (row->type == OSC_SWITCH)
		value.number = obs_data_get_bool(settings, row->name);
	else if (row->type == OSC_WHOLE)
		value.number = (double)obs_data_get_int(settings, row->name);
	else
		value.number = obs_data_get_double(settings, row->name);
	return value;
}

static bool same(const struct control_value *a, const struct control_value *b)
{
	return a->number == b->number && (a->text == NULL || b->text == NULL || strcmp(a->text, b->text) == 0);
}

void controls_defaults(obs_data_t *settings)
{
	obs_data_set_default_int(settings, "port", FIRST_PORT);
	for (const struct control_row *row = CONTROLS; row < CONTROLS + CONTROL_COUNT; row++) {
		if (row->type == OSC_TEXT)
			obs_data_set_default_string(settings, row->name, row->start_text);
		else if (row->type == OSC_SWITCH)
			obs_data_set_default_bool(settings, row->name, row->start != 0);
		else if (row->type == OSC_WHOLE)
			obs_data_set_default_int(settings, row->name, (long long)row->start);
		else
			obs_data_set_default_double(settings, row->name, row->start);
	}
}

static void take(struct control_value *kept, struct control_value *new, const struct control_row *row, float *quiet)
{
	if (!same(kept, new)) {
		new->unsent = true;
		if (row->type == OSC_TEXT)
			*quiet = 0;
	} else {
		new->unsent = kept->unsent;
	}
	bfree(kept->text);
	*kept = *new;
}

void controls_update(struct controls *controls, obs_data_t *settings)
{
	pthread_mutex_lock(&controls->mutex);
	controls->port = (int)obs_data_get_int(settings, "port");
	for (int i = 0; i < CONTROL_COUNT; i++) {
		struct control_value value = read_value(&CONTROLS[i], settings);
		take(&controls->values[i], &value, &CONTROLS[i], &controls->quiet);
	}
	pthread_mutex_unlock(&controls->mutex);
}

static void send_one(const struct controls *controls, const struct control_row *row, const struct control_value *value)
{
	char address[64];
	snprintf(address, sizeof(address), ROOT "%s", row->name);
	osc_send(controls->port, address,
		 (struct osc_value){.type = row->type, .text = value->text, .number = value->number});
}

void controls_tick(struct controls *controls, float seconds)
{
	if (pthread_mutex_trylock(&controls->mutex) != 0)
		return; // the next frame will do
	controls->quiet += seconds;
	for (int i = 0; i < CONTROL_COUNT; i++) {
		struct control_value *value = &controls->values[i];
		const struct control_row *row = &CONTROLS[i];
		if (!value->unsent || (row->type == OSC_TEXT && controls->quiet < PROMPT_QUIET))
			continue;
		value->unsent = false;
		if (strcmp(row->name, controls->not_sent) != 0)
			send_one(controls, row, value);
	}
	pthread_mutex_unlock(&controls->mutex);
}

// A run starts with these off, and so does OBS.
static void switch_off(obs_data_t *settings)
{
	obs_data_set_bool(settings, "panic", false);
	obs_data_set_bool(settings, "bypass", false);
	obs_data_set_bool(settings, "freeze", false);
}

void controls_create(struct controls *controls, obs_source_t *self, obs_data_t *settings, const char *not_sent)
{
	hotkeys_create(&controls->hotkeys, self, settings);
	controls->not_sent = not_sent;
	pthread_mutex_init(&controls->mutex, NULL);
	switch_off(settings);
	controls_update(controls, settings);
	for (int i = 0; i < CONTROL_COUNT; i++)
		controls->values[i].unsent = false; // nothing changed yet
}

void controls_destroy(struct controls *controls)
{
	hotkeys_destroy(&controls->hotkeys);
	for (int i = 0; i < CONTROL_COUNT; i++)
		bfree(controls->values[i].text);
	pthread_mutex_destroy(&controls->mutex);
}

// ---- properties

static bool look_picked(obs_properties_t *properties, obs_property_t *list, obs_data_t *settings)
{
	UNUSED_PARAMETER(properties);
	UNUSED_PARAMETER(list);
	const char *look = obs_data_get_string(settings, "look");
	if (!*look)
		return false;
	obs_data_set_string(settings, "prompt", look);
	obs_data_set_string(settings, "look", ""); // the prompt says it from now on
	return true;
}

static void add_looks(obs_properties_t *group)
{
	obs_property_t *list =
		obs_properties_add_list(group, "look", "Looks", OBS_COMBO_TYPE_LIST, OBS_COMBO_FORMAT_STRING);
	obs_property_list_add_string(list, "pick one ...", "");
	for (int i = 0; i < LOOK_COUNT; i++)
		obs_property_list_add_string(list, LOOKS[i], LOOKS[i]);
	obs_property_set_modified_callback(list, look_picked);
}

static obs_property_t *add_row(obs_properties_t *group, const struct control_row *row)
{
	switch (row->type) {
	case OSC_TEXT:
		return obs_properties_add_text(group, row->name, row->label, OBS_TEXT_DEFAULT);
	case OSC_SWITCH:
		return obs_properties_add_bool(group, row->name, row->label);
	case OSC_WHOLE:
		if (row->high > 1000)
			return obs_properties_add_int(group, row->name, row->label, (int)row->low, (int)row->high, 1);
		return obs_properties_add_int_slider(group, row->name, row->label, (int)row->low, (int)row->high, 1);
	default:
		return obs_properties_add_float_slider(group, row->name, row->label, row->low, row->high, 0.01);
	}
}

void controls_properties(obs_properties_t *properties)
{
	obs_properties_t *group = obs_properties_create();
	for (const struct control_row *row = CONTROLS; row < CONTROLS + CONTROL_COUNT; row++) {
		obs_property_t *property = add_row(group, row);
		obs_property_set_long_description(property, row->help);
		if (row->type == OSC_NUMBER && *row->unit)
			obs_property_float_set_suffix(property, row->unit);
		if (strcmp(row->name, "prompt") == 0)
			add_looks(group);
	}
	obs_properties_add_int(group, "port", "OSC port of latentcast", 1, 65535, 1);
	obs_properties_add_group(properties, "controls", "Controls", OBS_GROUP_NORMAL, group);
}
