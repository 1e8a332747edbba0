// SPDX-License-Identifier: GPL-2.0-or-later
#include "kin.h"

#include <util/threading.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; // held while a parent or target is looked up outside of rendering

static obs_source_t *kept(obs_source_t *(*kin)(const obs_source_t *), obs_source_t *filter)
{
	pthread_mutex_lock(&mutex);
	obs_source_t *source = obs_source_get_ref(kin(filter));
	pthread_mutex_unlock(&mutex);
	return source;
}

obs_source_t *kin_parent(obs_source_t *filter)
{
	return kept(obs_filter_get_parent, filter);
}

void kin_size(obs_source_t *filter, uint32_t *width, uint32_t *height)
{
	obs_source_t *target = kept(obs_filter_get_target, filter);
	*width = target ? obs_source_get_base_width(target) : 0; // may be another plugin's code: with no lock of ours held
	*height = target ? obs_source_get_base_height(target) : 0;
	obs_source_release(target);
}

void kin_part(obs_source_t *parent)
{
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
	obs_source_t *alive = obs_source_get_ref(parent);
	if (!alive)
		return; // who renders a source keeps it alive; and who destroys one may hold locks that rendering takes
	obs_enter_graphics();
	obs_leave_graphics();
	obs_source_release(alive);
}
