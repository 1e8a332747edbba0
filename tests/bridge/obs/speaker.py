"""A small obs-websocket 5 server for what no real OBS does at will: being busy, silent, old, or odd."""

import json
import threading
from contextlib import suppress

from websockets.exceptions import WebSocketException
from websockets.sync.server import serve


class Speaker:
    """Greets as OBS does and hands every request to `answer(request, number)`, which returns a requestStatus or None.

    greeting: what is sent first; None for nothing at all.   said: what comes with a good answer, by request.
    """

    def __init__(self, answer=None, greeting=None, silent=False, said=None):
        hello = {"op": 0, "d": {"obsWebSocketVersion": "5.1.0", "rpcVersion": 1}}
        self._greeting = None if silent else greeting or json.dumps(hello)
        self._answer = answer or (lambda request, number: {"result": True, "code": 100})
        self._said = {"GetVersion": {"obsVersion": "29.0.2"}, **(said or {})}
        self.asked, self.questions = [], []
        self._server = serve(self._talk, "127.0.0.1", 0)
        self.port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def said(self, request, data):
        """From now on, answer a request with this."""
        self._said[request] = data

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()

    def _talk(self, client):
        with suppress(WebSocketException):
            if self._greeting is not None:
                client.send(self._greeting)
            for text in client:
                said = json.loads(text)
                if said["op"] == 1:
                    client.send(json.dumps({"op": 2, "d": {"negotiatedRpcVersion": 1}}))
                elif said["op"] == 6:
                    self._reply(client, said["d"])

    def _reply(self, client, question):
        self.asked.append(question["requestType"])
        self.questions.append((question["requestType"], question.get("requestData") or {}))
        status = self._answer(question["requestType"], len(self.asked))
        if status is not None:
            answer = {"requestType": question["requestType"], "requestId": question["requestId"]}
            data = {"responseData": self._said.get(question["requestType"], {})}
            client.send(json.dumps({"op": 7, "d": {**answer, "requestStatus": status, **data}}))
