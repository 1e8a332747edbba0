-- Drives the script panel as OBS's Scripts window does: shows its properties, changes settings, presses its button.
-- It is loaded into a real OBS beside nothing else; `panel` among its settings is the script's path.

local obs = obslua
local shown, data

local function press(id, action)
  obs.obs_hotkey_register_frontend(id, id, function(pressed)
    if pressed then
      action()
    end
  end)
end

local function change(action)
  return function()
    action(data)
    panel_update(data)
  end
end

function script_load(settings)
  dofile(obs.obs_data_get_string(settings, "panel"))
  panel_update = script_update
  script_update = nil
  data = obs.obs_data_create()
  script_defaults(data)
  obs.obs_data_set_int(data, "port", obs.obs_data_get_int(settings, "port"))
  shown = script_properties()
  panel_update(data)
  press("test.noise", change(function(s) obs.obs_data_set_double(s, "noise", 0.25) end))
  press("test.steps", change(function(s) obs.obs_data_set_int(s, "steps", 3) end))
  press("test.carry", change(function(s) obs.obs_data_set_bool(s, "carry", true) end))
  press("test.seed", change(function(s) obs.obs_data_set_int(s, "seed", 2147483647) end))
  press("test.look", function()
    obs.obs_data_set_string(data, "look", "pencil sketch")
    obs.obs_property_modified(obs.obs_properties_get(shown, "look"), data)
    panel_update(data)
  end)
  press("test.type", function()
    for _, text in ipairs({ "g", "go", "gol", "gold" }) do
      obs.obs_data_set_string(data, "prompt", text)
      panel_update(data)
    end
  end)
  press("test.names", function()
    for _, name in ipairs({ "prompt", "fade", "lora", "steps", "rows", "noise", "motion", "carry", "seed", "mix", "bypass",
      "freeze", "privacy", "panic", "look", "port", "send" }) do
      local found = obs.obs_properties_get(shown, name)
      if found ~= nil then
        obs.script_log(obs.LOG_INFO, "has " .. name .. " " .. tostring(obs.obs_property_description(found)))
      end
    end
  end)
end
