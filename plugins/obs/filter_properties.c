// SPDX-License-Identifier: GPL-2.0-or-later
// What a person sees of the filter in OBS's window of filters.
#include "filter.h"

#include "kin.h"
#include "status.h"

#include <util/platform.h>

#include <stdio.h>
#include <string.h>

#define HIDDEN_AFTER 1.0 // seconds since it was rendered

void filter_command(const struct filter_wishes *wishes, int port, char *text, size_t size)
{
	const bool first = strcmp(wishes->ring, FIRST_RING) == 0 && strcmp(wishes->answer, RING_PUBLIC) == 0;
	if (first && port == FIRST_PORT)
		snprintf(text, size, "latentcast run --in obs-filter");
	else
		snprintf(text, size,
			 "latentcast run --in obs-filter:%s --ring %s --osc-port %d --feedback-port %d --web-port %d",
			 wishes->ring, wishes->answer, port, port + 1, port + 2);
}

static bool on_program(const struct filter *filter)
{
	obs_source_t *parent = kin_parent(filter->self);
	const bool active = parent && obs_source_active(parent);
	obs_source_release(parent);
	return active;
}

static void tell_sending(const struct filter *filter, const struct filter_news *news, char *text, size_t size)
{
	char trouble[RING_REASON];
	keeper_trouble(filter->out, trouble);
	if (!*filter->wishes.ring)
		snprintf(text, size, "Sends nothing: no ring is named below.");
	else if (!filter->claimed)
		snprintf(text, size, "Sends nothing: another filter of this OBS writes into ring %s. Name another one.",
			 filter->wishes.ring);
	else if (*trouble)
		snprintf(text, size, "Sends nothing: %s.", trouble);
	else if (!news->rendered || (double)(os_gettime_ns() - news->rendered) * 1e-9 > HIDDEN_AFTER)
		snprintf(text, size,
			 "Sends nothing: its source is off program, and OBS renders no filter that nobody sees.");
	else if (news->sending)
		snprintf(text, size, "Sends %ux%u into ring %s%s.", news->width, news->height, filter->wishes.ring,
			 on_program(filter) ? "" : ", but only while it is seen here: its source is off program");
	else
		snprintf(text, size, "Begins to send.");
}

static void tell_showing(const struct filter *filter, const struct filter_news *news, char *text, size_t size)
{
	char trouble[RING_REASON];
	keeper_trouble(filter->in, trouble);
	if (news->showing)
		snprintf(text, size, "Shows the effect, %.0f ms after the source.", 1000 * news->delay);
	else if (*trouble)
		snprintf(text, size, "Shows the source: %s. Start latentcast with the command below.", trouble);
	else
		snprintf(text, size, "Shows the source: no effect comes from ring %s at the moment.",
			 filter->wishes.answer);
}

static void status(struct filter *filter, char *text, size_t size)
{
	char sending[2 * RING_REASON], showing[2 * RING_REASON];
	pthread_mutex_lock(&filter->mutex);
	tell_sending(filter, &filter->news, sending, sizeof(sending));
	tell_showing(filter, &filter->news, showing, sizeof(showing));
	pthread_mutex_unlock(&filter->mutex);
	snprintf(text, size, "%s\n%s", sending, showing);
}

static bool look_again(obs_properties_t *properties, obs_property_t *button, void *data)
{
	UNUSED_PARAMETER(button);
	char text[4 * RING_REASON];
	status(data, text, sizeof(text));
	return status_say(properties, text);
}

static void add_rings(obs_properties_t *properties)
{
	obs_properties_t *group = obs_properties_create();
	obs_properties_add_text(group, "ring", "Sent in ring", OBS_TEXT_DEFAULT);
	obs_properties_add_text(group, "answer", "Answered in ring", OBS_TEXT_DEFAULT);
	obs_property_t *rate = obs_properties_add_int_slider(group, "rate", "Sent at most", 1, 60, 1);
	obs_property_int_set_suffix(rate, " a second");
	obs_properties_add_group(properties, "rings", "Rings", OBS_GROUP_NORMAL, group);
}

obs_properties_t *filter_properties(void *data)
{
	obs_properties_t *properties = obs_properties_create();
	if (data)
		status_properties(properties, look_again, data);
	obs_property_t *command = obs_properties_add_text(properties, "command", "Command", OBS_TEXT_DEFAULT);
	obs_property_set_long_description(command, "Copy this into a terminal; what you change here is not kept");
	controls_properties(properties);
	obs_properties_add_bool(properties, "cut", "Keep what is transparent transparent");
	add_rings(properties);
	return properties;
}
