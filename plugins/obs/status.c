// SPDX-License-Identifier: GPL-2.0-or-later
#include "status.h"

void status_properties(obs_properties_t *properties, obs_property_clicked_t look_again, void *data)
{
	obs_properties_add_text(properties, "status", "", OBS_TEXT_INFO);
	obs_properties_add_button2(properties, "look_again", "Look again", look_again, data);
	look_again(properties, NULL, data);
}

bool status_say(obs_properties_t *properties, const char *text)
{
	obs_property_set_description(obs_properties_get(properties, "status"), text);
	return true;
}
