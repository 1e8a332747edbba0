// SPDX-License-Identifier: GPL-2.0-or-later
// The source "Latentcast" and the filter "Latentcast effect".
#include "plugin.h"

#include "osc.h"

OBS_DECLARE_MODULE()
OBS_MODULE_AUTHOR("latentcast")

MODULE_EXPORT const char *obs_module_name(void)
{
	return "Latentcast";
}

MODULE_EXPORT const char *obs_module_description(void)
{
	return "Live generative video: shows what latentcast makes, and sends it what OBS has.";
}

bool obs_module_load(void)
{
	if (!osc_start())
		say(LOG_WARNING, "no UDP socket: the controls will do nothing");
	obs_register_source(&latentcast_source);
	obs_register_source(&latentcast_filter);
	say(LOG_INFO, "plugin loaded");
	return true;
}

void obs_module_unload(void)
{
	osc_stop();
}
