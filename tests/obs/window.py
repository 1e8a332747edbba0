"""Closes the window of a program as its user would: `DISPLAY=:N python -m tests.obs.window PID`.

OBS 29 closes its window inside its handler of SIGINT, whatever its own thread is doing at that moment, and now and then
ends with a segmentation fault in Qt for it (UI/obs-app.cpp, ctrlc_handler). A process of its own, since Xlib ends one
that asks about a window which has just gone. Exit code 1 if there is no such window.
"""

import ctypes
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_long, c_ubyte, c_ulong, c_void_p

CLIENT_MESSAGE = 33


class Event(ctypes.Structure):
    """XClientMessageEvent, as long as an XEvent is."""

    _fields_ = [("type", c_int), ("serial", c_ulong), ("sent", c_int), ("display", c_void_p), ("window", c_ulong)] + [
        ("message", c_ulong),
        ("format", c_int),
        ("data", c_long * 5),
        ("padding", c_long * 24),
    ]


def close(pid):
    x, display = ctypes.CDLL("libX11.so.6"), c_void_p
    x.XOpenDisplay.restype, x.XInternAtom.restype, x.XDefaultRootWindow.restype = display, c_ulong, c_ulong
    x.XInternAtom.argtypes, x.XDefaultRootWindow.argtypes = [display, c_char_p, c_int], [display]
    x.XQueryTree.argtypes = [display, c_ulong] + [c_void_p] * 4
    x.XGetWindowProperty.argtypes = [display, c_ulong, c_ulong, c_long, c_long, c_int, c_ulong] + [c_void_p] * 5
    x.XSendEvent.argtypes, x.XSync.argtypes = [display, c_ulong, c_int, c_long, c_void_p], [display, c_int]
    screen = x.XOpenDisplay(None)

    def atom(name):
        return x.XInternAtom(screen, name, 0)

    def read(window, name):
        """The first number of a property, or None."""
        kind, form, count, left, data = c_ulong(), c_int(), c_ulong(), c_ulong(), POINTER(c_ubyte)()
        answer = map(byref, (kind, form, count, left, data))
        x.XGetWindowProperty(screen, window, atom(name), 0, 8, 0, 0, *answer)
        return ctypes.cast(data, POINTER(c_ulong))[0] if count.value and form.value == 32 else None

    root, parent, found, count = c_ulong(), c_ulong(), POINTER(c_ulong)(), c_int()
    x.XQueryTree(screen, x.XDefaultRootWindow(screen), *map(byref, (root, parent, found, count)))
    windows = [found[number] for number in range(count.value)]
    ours = [window for window in windows if read(window, b"_NET_WM_PID") == pid and read(window, b"WM_PROTOCOLS")]
    for window in ours:
        event = Event(CLIENT_MESSAGE, 0, 1, screen, window, atom(b"WM_PROTOCOLS"), 32)
        event.data[0] = atom(b"WM_DELETE_WINDOW")
        x.XSendEvent(screen, window, 0, 0, byref(event))
    x.XSync(screen, 0)
    return bool(ours)


if __name__ == "__main__":
    sys.exit(not close(int(sys.argv[1])))
