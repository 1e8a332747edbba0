-- Latentcast's knobs in OBS: Tools, Scripts, "+", this file. Properties and hotkeys become OSC messages to a running
-- latentcast on this machine. Nothing is drawn here and nothing waits, so OBS cannot be held up.
--
-- SPDX-License-Identifier: Apache-2.0

local obs = obslua
local ffi = require("ffi")
local bit = require("bit")

-- <controls> written by `python -m bridge.obs.panel`
local CONTROLS = {
  { name = "prompt", kind = "str", default = "watercolor", unit = "", help = "What the picture should become; blend with \"watercolor:0.7 | neon:0.3\"." },
  { name = "fade", kind = "float", default = 0.5, low = 0, high = 30, unit = "s", help = "How long a prompt takes to arrive." },
  { name = "lora", kind = "str", default = "", unit = "", help = "LoRA files to add, and how strongly: \"ghibli:0.8 | grain:0.3\"." },
  { name = "steps", kind = "int", default = 2, low = 1, high = 4, unit = "", help = "Denoising steps per chunk; fewer is faster." },
  { name = "rows", kind = "int", default = 0, low = 0, high = 4, unit = "", help = "Chunks denoised together: 1 waits least, 0 takes one row a step." },
  { name = "noise", kind = "float", default = 0.8, low = 0, high = 1, unit = "", help = "How far the model may depart from the camera." },
  { name = "motion", kind = "float", default = 0.1, low = 0, high = 0.5, unit = "", help = "How much a moving picture lowers the noise." },
  { name = "carry", kind = "bool", default = false, unit = "", help = "Keep the noise fixed in place instead of drawing it anew for every chunk." },
  { name = "seed", kind = "int", default = 0, low = 0, high = 2147483647, unit = "", help = "Same seed, same noise." },
  { name = "mix", kind = "float", default = 1, low = 0, high = 1, unit = "", help = "From the camera (0) to the effect (1)." },
  { name = "bypass", kind = "bool", default = false, unit = "", help = "Show the camera." },
  { name = "freeze", kind = "bool", default = false, unit = "", help = "Hold the picture that is on." },
  { name = "privacy", kind = "bool", default = false, unit = "", help = "While the engine is away, show the slate, never the camera." },
  { name = "panic", kind = "bool", default = false, unit = "", help = "Show the slate, now." },
}
local LOOKS = { "natural", "watercolor", "oil painting", "pencil sketch", "ink", "comic", "neon", "night", "thermal", "blueprint", "pixel art", "mosaic", "gold" }
-- </controls>

local TYPING = 400 -- milliseconds without a key before a text is sent
local HOTKEYS = {
  { id = "latentcast.panic", text = "Latentcast: panic (show the slate)", address = "/panic" },
  { id = "latentcast.bypass", text = "Latentcast: bypass (show the camera)", address = "/bypass" },
  { id = "latentcast.freeze", text = "Latentcast: freeze (hold the picture)", address = "/freeze" },
  { id = "latentcast.next_look", text = "Latentcast: next look", step = 1 },
  { id = "latentcast.previous_look", text = "Latentcast: previous look", step = -1 },
}

local port, root = 9510, "/latentcast"
local sent = {} -- control -> the value that was sent last, or found at the start
local wanted = nil -- the settings of OBS, while it is showing our properties
local look = 0 -- number of the look that a hotkey chose last
local ids = {} -- name of a hotkey -> its number in OBS

---------------------------------------------------------------------------------------------------------------------
-- UDP, by the C library that OBS has in it anyway

ffi.cdef([[
  typedef struct { uint8_t bytes[16]; } latentcast_address;
  int socket(int domain, int type, int protocol);
  int WSAStartup(uint16_t version, void *data);
]])

local udp = {}
if ffi.os == "Windows" then
  ffi.cdef([[
    int sendto(uintptr_t s, const char *data, int size, int flags, const latentcast_address *to, int length);
    int closesocket(uintptr_t s);
  ]])
  local winsock = ffi.load("ws2_32")
  winsock.WSAStartup(0x0202, ffi.new("uint8_t[512]"))
  udp.lib, udp.close = winsock, winsock.closesocket
else
  ffi.cdef([[
    ptrdiff_t sendto(int s, const char *data, size_t size, int flags, const latentcast_address *to, unsigned int length);
    int close(int s);
  ]])
  udp.lib, udp.close = ffi.C, ffi.C.close
end

local function loopback(number)
  local to = ffi.new("latentcast_address")
  if ffi.os == "OSX" or ffi.os == "BSD" then
    to.bytes[0], to.bytes[1] = 16, 2 -- its own length, AF_INET
  else
    to.bytes[0] = 2 -- AF_INET
  end
  to.bytes[2], to.bytes[3] = bit.rshift(number, 8), bit.band(number, 255)
  to.bytes[4], to.bytes[7] = 127, 1 -- 127.0.0.1
  return to
end

local function send_datagram(data)
  local SOCK_DGRAM = 2
  local s = udp.lib.socket(2, SOCK_DGRAM, 0)
  if s < 0 then
    return
  end
  udp.lib.sendto(s, data, #data, 0, loopback(port), 16)
  udp.close(s)
end

---------------------------------------------------------------------------------------------------------------------
-- OSC 1.0

local function padded(text)
  return text .. string.rep("\0", 4 - #text % 4)
end

local function word(number)
  local b = bit
  return string.char(b.band(b.rshift(number, 24), 255), b.band(b.rshift(number, 16), 255),
    b.band(b.rshift(number, 8), 255), b.band(number, 255))
end

local function float(number)
  local both = ffi.new("union { float f; int32_t i; }")
  both.f = number
  return word(both.i)
end

-- kind: "str", "int", "float", "bool", or nil for a message without an argument
local function message(address, kind, value)
  local head = padded(root .. address)
  if kind == "str" then
    return head .. padded(",s") .. padded(value)
  elseif kind == "int" then
    return head .. padded(",i") .. word(value)
  elseif kind == "float" then
    return head .. padded(",f") .. float(value)
  elseif kind == "bool" then
    return head .. padded(value and ",T" or ",F")
  end
  return head .. padded(",")
end

local function say(address, kind, value)
  send_datagram(message(address, kind, value))
end

---------------------------------------------------------------------------------------------------------------------
-- properties

local READ = {
  str = obs.obs_data_get_string,
  int = obs.obs_data_get_int,
  float = obs.obs_data_get_double,
  bool = obs.obs_data_get_bool,
}

local function send_changes(settings, kinds)
  for _, row in ipairs(CONTROLS) do
    local value = READ[row.kind](settings, row.name)
    if kinds[row.kind] and value ~= sent[row.name] and (value ~= "" or row.name ~= "prompt") then
      sent[row.name] = value
      say("/" .. row.name, row.kind, value)
    end
  end
end

local function typed()
  obs.timer_remove(typed)
  if wanted ~= nil then
    send_changes(wanted, { str = true })
  end
end

local function take(settings)
  for _, row in ipairs(CONTROLS) do
    sent[row.name] = READ[row.kind](settings, row.name)
  end
end

local function send_everything()
  if wanted ~= nil then
    sent = {}
    send_changes(wanted, { str = true, int = true, float = true, bool = true })
  end
  return true
end

local function choose_look(props, property, settings)
  local name = obs.obs_data_get_string(settings, "look")
  if name ~= "" and name ~= obs.obs_data_get_string(settings, "prompt") then
    obs.obs_data_set_string(settings, "prompt", name)
    return true
  end
  return false
end

local function add_property(props, row)
  local made
  local label = row.name:sub(1, 1):upper() .. row.name:sub(2) .. (row.unit ~= "" and " (" .. row.unit .. ")" or "")
  if row.kind == "str" then
    made = obs.obs_properties_add_text(props, row.name, label, obs.OBS_TEXT_DEFAULT)
  elseif row.kind == "bool" then
    made = obs.obs_properties_add_bool(props, row.name, label)
  elseif row.kind == "float" then
    made = obs.obs_properties_add_float_slider(props, row.name, label, row.low, row.high, (row.high - row.low) / 100)
  elseif row.high > 1000 then
    made = obs.obs_properties_add_int(props, row.name, label, row.low, row.high, 1)
  else
    made = obs.obs_properties_add_int_slider(props, row.name, label, row.low, row.high, 1)
  end
  obs.obs_property_set_long_description(made, row.help)
end

function script_description()
  return "<h2>Latentcast</h2>Turns the knobs of a latentcast that runs on this machine. Hotkeys are in Settings, Hotkeys."
end

function script_properties()
  local props = obs.obs_properties_create()
  local looks = obs.obs_properties_add_list(props, "look", "Look", obs.OBS_COMBO_TYPE_LIST, obs.OBS_COMBO_FORMAT_STRING)
  obs.obs_property_list_add_string(looks, "(as the prompt says)", "")
  for _, name in ipairs(LOOKS) do
    obs.obs_property_list_add_string(looks, name, name)
  end
  obs.obs_property_set_modified_callback(looks, choose_look)
  for _, row in ipairs(CONTROLS) do
    add_property(props, row)
  end
  obs.obs_properties_add_button(props, "send", "Send everything now", send_everything)
  obs.obs_properties_add_int(props, "port", "OSC port", 1, 65535, 1)
  obs.obs_properties_add_text(props, "root", "OSC root", obs.OBS_TEXT_DEFAULT)
  return props
end

function script_defaults(settings)
  for _, row in ipairs(CONTROLS) do
    if row.kind == "str" then
      obs.obs_data_set_default_string(settings, row.name, row.default)
    elseif row.kind == "bool" then
      obs.obs_data_set_default_bool(settings, row.name, row.default)
    elseif row.kind == "float" then
      obs.obs_data_set_default_double(settings, row.name, row.default)
    else
      obs.obs_data_set_default_int(settings, row.name, row.default)
    end
  end
  obs.obs_data_set_default_int(settings, "port", 9510)
  obs.obs_data_set_default_string(settings, "root", "/latentcast")
end

function script_update(settings)
  port = obs.obs_data_get_int(settings, "port")
  root = obs.obs_data_get_string(settings, "root")
  if next(sent) == nil then
    take(settings) -- as things were left last time: loading a script turns no knob
    return
  end
  wanted = settings
  send_changes(settings, { int = true, float = true, bool = true })
  obs.timer_remove(typed)
  obs.timer_add(typed, TYPING)
end

---------------------------------------------------------------------------------------------------------------------
-- hotkeys

local function next_look(step)
  if look == 0 and step < 0 then
    look = 1 -- none was chosen yet: back from the first is the last
  end
  look = (look - 1 + step) % #LOOKS + 1
  say("/prompt", "str", LOOKS[look])
end

function script_load(settings)
  for _, key in ipairs(HOTKEYS) do
    ids[key.id] = obs.obs_hotkey_register_frontend(key.id, key.text, function(pressed)
      if pressed and key.step then
        next_look(key.step)
      elseif pressed then
        say(key.address) -- without an argument: the other way round
      end
    end)
    local saved = obs.obs_data_get_array(settings, key.id)
    obs.obs_hotkey_load(ids[key.id], saved)
    obs.obs_data_array_release(saved)
  end
end

function script_save(settings)
  for _, key in ipairs(HOTKEYS) do
    local keys = obs.obs_hotkey_save(ids[key.id])
    obs.obs_data_set_array(settings, key.id, keys)
    obs.obs_data_array_release(keys)
  end
end
