// SPDX-License-Identifier: GPL-2.0-or-later
#include "mixer.h"

#include "plugin.h"

#include <string.h>

// `image` is premultiplied, `answer` is not. Everything is linear light: textures are decoded when read, and what is
// drawn is encoded when written.
static const char shader[] =
	"uniform float4x4 ViewProj;\n"
	"uniform texture2d image;\n"
	"uniform texture2d answer;\n"
	"uniform float share;\n"
	"uniform float cut;\n"
	"sampler_state smooth { Filter = Linear; AddressU = Clamp; AddressV = Clamp; };\n"
	"struct Corner { float4 pos : POSITION; float2 uv : TEXCOORD0; };\n"
	"Corner place(Corner v)\n"
	"{\n"
	"	Corner o;\n"
	"	o.pos = mul(float4(v.pos.xyz, 1.0), ViewProj);\n"
	"	o.uv = v.uv;\n"
	"	return o;\n"
	"}\n"
	"float4 dry(Corner v) : TARGET\n"
	"{\n"
	"	return image.Sample(smooth, v.uv);\n"
	"}\n"
	"float4 plain(Corner v) : TARGET\n"
	"{\n"
	"	float4 c = image.Sample(smooth, v.uv);\n"
	"	return c.a > 0.0 ? float4(c.rgb / c.a, c.a) : float4(0.0, 0.0, 0.0, 0.0);\n"
	"}\n"
	"float4 mixed(Corner v) : TARGET\n"
	"{\n"
	"	float4 under = image.Sample(smooth, v.uv);\n"
	"	float4 over = answer.Sample(smooth, v.uv);\n"
	"	over.a *= lerp(1.0, under.a, cut);\n"
	"	over.rgb *= over.a;\n"
	"	return lerp(under, over, share);\n"
	"}\n"
	"technique Dry { pass { vertex_shader = place(v); pixel_shader = dry(v); } }\n"
	"technique Plain { pass { vertex_shader = place(v); pixel_shader = plain(v); } }\n"
	"technique Mixed { pass { vertex_shader = place(v); pixel_shader = mixed(v); } }\n";

bool mixer_create(struct mixer *mixer)
{
	char *problem = NULL;
	mixer->effect = gs_effect_create(shader, NULL, &problem); // OBS keeps what has a name until it ends
	if (!mixer->effect)
		say(LOG_ERROR, "the shader was refused: %s", problem ? problem : "no reason given");
	bfree(problem);
	mixer->dry = gs_texrender_create(GS_RGBA, GS_ZS_NONE);
	mixer->plain = gs_texrender_create(GS_RGBA, GS_ZS_NONE);
	return mixer->effect && mixer->dry && mixer->plain;
}

void mixer_free(struct mixer *mixer)
{
	gs_effect_destroy(mixer->effect);
	gs_texrender_destroy(mixer->dry);
	gs_texrender_destroy(mixer->plain);
	*mixer = (struct mixer){0};
}

static void set_texture(struct mixer *mixer, const char *name, gs_texture_t *texture, bool linear)
{
	gs_eparam_t *parameter = gs_effect_get_param_by_name(mixer->effect, name);
	if (linear)
		gs_effect_set_texture_srgb(parameter, texture);
	else
		gs_effect_set_texture(parameter, texture);
}

static void set_float(struct mixer *mixer, const char *name, float value)
{
	gs_effect_set_float(gs_effect_get_param_by_name(mixer->effect, name), value);
}

static bool begin(gs_texrender_t *target, uint32_t width, uint32_t height)
{
	gs_texrender_reset(target);
	if (!gs_texrender_begin_with_color_space(target, width, height, GS_CS_SRGB))
		return false;
	const struct vec4 nothing = {{{0}}};
	gs_clear(GS_CLEAR_COLOR, &nothing, 0, 0);
	gs_ortho(0, (float)width, 0, (float)height, -100, 100);
	return true;
}

// Whether a source draws one sprite and no more, as cameras and films do, and ours. A display draws its cursor over
// itself, a scene its items, and they need blending.
static bool draws_once(obs_source_t *source)
{
	const bool ours = source && strcmp(obs_source_get_id(source), latentcast_source.id) == 0;
	return ours || (obs_source_get_output_flags(source) & OBS_SOURCE_ASYNC);
}

gs_texture_t *mixer_capture(struct mixer *mixer, obs_source_t *filter, uint32_t width, uint32_t height)
{
	if (!begin(mixer->dry, width, height))
		return NULL;
	const bool linear = gs_set_linear_srgb(!mixer->opaque); // multiplied in light, if at all
	gs_blend_state_push();
	gs_blend_function_separate(GS_BLEND_SRCALPHA, GS_BLEND_INVSRCALPHA, GS_BLEND_ONE, GS_BLEND_INVSRCALPHA);
	gs_enable_blending(!mixer->opaque || !draws_once(obs_filter_get_target(filter))); // it costs a fifth of the time
	obs_source_skip_video_filter(filter); // knows how each kind of source wants to be rendered
	gs_blend_state_pop();
	gs_set_linear_srgb(linear);
	gs_texrender_end(mixer->dry);
	return gs_texrender_get_texture(mixer->dry);
}

static void draw(struct mixer *mixer, const char *technique, uint32_t width, uint32_t height, bool linear)
{
	gs_texture_t *image = gs_texrender_get_texture(mixer->dry);
	const bool previous = gs_framebuffer_srgb_enabled();
	gs_enable_framebuffer_srgb(linear);
	set_texture(mixer, "image", image, linear);
	while (gs_effect_loop(mixer->effect, technique))
		gs_draw_sprite(image, 0, width, height);
	gs_enable_framebuffer_srgb(previous);
}

gs_texture_t *mixer_plain(struct mixer *mixer, uint32_t width, uint32_t height)
{
	if (!begin(mixer->plain, width, height))
		return NULL;
	gs_blend_state_push();
	gs_enable_blending(false);
	draw(mixer, "Plain", width, height, true);
	gs_blend_state_pop();
	gs_texrender_end(mixer->plain);
	return gs_texrender_get_texture(mixer->plain);
}

void mixer_draw(struct mixer *mixer, gs_texture_t *answer, float share, bool cut, uint32_t width, uint32_t height)
{
	const bool linear = gs_get_linear_srgb();
	if (answer) {
		set_texture(mixer, "answer", answer, linear);
		set_float(mixer, "share", share);
		set_float(mixer, "cut", cut ? 1.0f : 0.0f);
	}
	gs_blend_state_push();
	gs_blend_function(GS_BLEND_ONE, GS_BLEND_INVSRCALPHA);
	draw(mixer, answer ? "Mixed" : "Dry", width, height, linear);
	gs_blend_state_pop();
}
