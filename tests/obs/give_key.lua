-- Gives keys to hotkeys as OBS's Settings, Hotkeys do, by libobs's own function: what a test has instead of a hand.
-- `keys` among its settings is "HOTKEY KEY, HOTKEY KEY"; the hotkey test.give.1 gives the first of them, once, and so on.
-- Of several hotkeys with one name, the one that was registered last gets it.

local obs = obslua
local ffi = require("ffi")

ffi.cdef([[
  typedef struct { uint32_t modifiers; int key; } key_combination;
  typedef bool (*hotkey_visitor)(void *data, size_t id, void *hotkey);
  void obs_enum_hotkeys(hotkey_visitor visit, void *data);
  const char *obs_hotkey_get_name(const void *hotkey);
  void obs_hotkey_load_bindings(size_t id, key_combination *keys, size_t count);
  int obs_key_from_name(const char *name);
]])

local function newest(name)
  local found
  local visit = ffi.cast("hotkey_visitor", function(_, id, hotkey)
    if ffi.string(ffi.C.obs_hotkey_get_name(hotkey)) == name then
      found = id
    end
    return true
  end)
  ffi.C.obs_enum_hotkeys(visit, nil)
  visit:free()
  return found
end

local function give(name, key)
  local id = newest(name)
  if id == nil then
    return false
  end
  local keys = ffi.new("key_combination[1]")
  keys[0].key = ffi.C.obs_key_from_name(key)
  ffi.C.obs_hotkey_load_bindings(id, keys, 1)
  obs.script_log(obs.LOG_INFO, "gave " .. key .. " to " .. name)
  return true
end

function script_load(settings)
  local number = 0
  for name, key in obs.obs_data_get_string(settings, "keys"):gmatch("([^%s,]+) ([^%s,]+)") do
    number = number + 1
    local id, given = "test.give." .. number, false
    obs.obs_hotkey_register_frontend(id, id, function(pressed)
      given = given or (pressed and give(name, key))
    end)
  end
end
