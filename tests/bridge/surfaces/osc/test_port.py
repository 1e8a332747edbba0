"""OSC's port where the system reports listeners that have gone, as Windows does: CPython's own code for Windows, on a
stand-in for its proactor that gets such reports from Linux, which makes them if it is asked to."""

import asyncio
import socket
import sys
from asyncio import proactor_events

import pytest

from bridge.control.control import ControlState
from bridge.surfaces.osc.surface import OscSurface
from bridge.surfaces.osc.wire import read_packet, write_message
from engine.clock import monotonic
from engine.params import Params

IP_RECVERR = 11  # <linux/in.h>: "port unreachable" becomes an error of the socket, as it always is on Windows

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux's IP_RECVERR stands for what Windows does")


class Proactor:
    """`recvfrom` and `sendto` as IocpProactor has them: a datagram that found nobody fails the pending read."""

    def __init__(self, loop):
        self._loop = loop
        self.unreachable = 0  # reads that failed

    def recvfrom(self, udp, size, flags=0):
        udp.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        done = self._loop.create_future()
        self._loop.add_reader(udp.fileno(), self._read, udp, size, done)
        done.add_done_callback(lambda _: self._loop.remove_reader(udp.fileno()))
        return done

    def _read(self, udp, size, done):
        self._loop.remove_reader(udp.fileno())
        try:
            done.set_result(udp.recvfrom(size))
        except BlockingIOError:
            self._loop.add_reader(udp.fileno(), self._read, udp, size, done)
        except ConnectionRefusedError as error:
            self.unreachable += 1
            done.set_exception(ConnectionResetError(*error.args))

    def sendto(self, udp, data, flags=0, addr=None):
        done = self._loop.create_future()
        try:
            udp.sendto(data, addr)
        except ConnectionRefusedError:  # Windows tells the reader instead
            udp.sendto(data, addr)
        done.set_result(len(data))
        return done


class WindowsLoop(asyncio.SelectorEventLoop):
    """A loop whose UDP is CPython's for Windows."""

    sock_recvfrom = proactor_events.BaseProactorEventLoop.sock_recvfrom

    def __init__(self):
        super().__init__()
        self._proactor = Proactor(self)

    def _make_datagram_transport(self, udp, protocol, address=None, waiter=None, extra=None):
        return proactor_events._ProactorDatagramTransport(self, udp, protocol, address, waiter, extra)


@pytest.fixture
def loop():
    loop = WindowsLoop()
    yield loop
    loop.close()


def nobody():
    """A port nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def look(condition, seconds=30.0):
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, "it never came"
        await asyncio.sleep(0.005)


async def ask(port):
    """A ping; what was answered, and from which port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.setblocking(False)
        phone.sendto(write_message("/latentcast/ping", 7), ("127.0.0.1", port))
        await look(lambda: readable(phone), 10.0)
        data, sender = phone.recvfrom(65536)
    ((message,),) = [batch.messages for batch in read_packet(data)]
    return (message.address, message.arguments[0]), sender[1]


def readable(udp):
    try:
        return udp.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False


def test_messages_are_still_heard_where_nobody_listens_to_the_heartbeat(loop):
    async def play():
        osc = OscSurface(ControlState(Params(), lambda *_: None), port=0, feedback_port=nobody())
        await osc.start()
        try:
            for times in (1, 2, 3):
                await look(lambda times=times: loop._proactor.unreachable >= times)
                answer, sender = await ask(osc.port)
                assert answer == ("/latentcast/pong", 7)
                assert sender == osc.port  # firewalls let answers in from where the question went
        finally:
            await osc.stop()

    loop.run_until_complete(play())


def test_a_port_that_was_stopped_is_free_at_once(loop):
    async def play():
        control = ControlState(Params(), lambda *_: None)
        first = OscSurface(control, port=0, feedback_port=nobody())
        await first.start()
        await first.stop()
        second = OscSurface(control, port=first.port, feedback_port=nobody())
        await second.start()
        await second.stop()

    loop.run_until_complete(play())
