"""The exported page as a phone has it: a static host, and a script that asks it about pictures."""

import functools
import http.server
import threading

LOOK = """async (addresses) => {
    const { openModel } = await import(new URL("model.js", document.baseURI));
    const { facts, look } = await openModel(), found = [];
    for (const address of addresses) {
        const { levels, probabilities, unfamiliarity } = await look(await (await fetch(address)).blob());
        found.push([[...levels], probabilities, unfamiliarity]);
    }
    return found;
}"""
"""Run in the page: of each picture's address, what the model sees, its probabilities and the unfamiliarity."""


class Host:
    """A static host on this machine, that can be switched off."""

    def __init__(self, folder):
        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
        )
        self.address = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self):
        if self.thread.is_alive():
            self.server.shutdown()
            self.server.server_close()
            self.thread.join(10)
