// SPDX-License-Identifier: GPL-2.0-or-later
// The lines in the properties that say how things stand, and the button that renews them.
#pragma once

#include <obs-module.h>

// look_again: the button's callback, which ends in status_say; it is called once at once.
void status_properties(obs_properties_t *properties, obs_property_clicked_t look_again, void *data);

// True, as such a callback has to return when what it belongs to is to be drawn anew.
bool status_say(obs_properties_t *properties, const char *text);
