"""pdadmm runs serve: who is let in, what the pages say, and that asking changes nothing. Usage: test_cli_serve.py PDADMM [TESTS]"""
import fcntl
import hashlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import unittest
from urllib.parse import quote, urlsplit

from cli_case import Case, PROGRAM

EVIL = "<b>\"&'x"


@unittest.skipUnless(os.path.exists(os.path.join(os.path.dirname(PROGRAM), "pdadmm_serve")), "built without libcpp-httplib-dev")
class Serve(Case):
    def setUp(self):
        super().setUp()
        self.train("--out", "plain")
        self.train("--out", EVIL, "--hidden", "6")
        default = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored where a shell started these tests in the background
        self.server = subprocess.Popen([PROGRAM, "runs", "serve"], cwd=self.folder, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=default)
        self.addCleanup(self.end)
        line = self.server.stdout.readline()
        self.assertRegex(line, r"^http://127\.0\.0\.1:\d+/\?token=[0-9a-f]{32}\n$")
        self.address = urlsplit(line.strip())
        self.cookie = None

    def end(self):
        self.server.send_signal(signal.SIGINT)
        self.server.communicate(timeout=300)

    def ask(self, path, method="GET", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.address.port, timeout=300)
        try:
            if self.cookie:
                headers.setdefault("Cookie", self.cookie)
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()

    def enter(self):
        status, headers, _ = self.ask(f"/?{self.address.query}")
        self.assertEqual((status, headers["Location"]), (303, "/"))
        self.assertIn("HttpOnly; SameSite=Strict", headers["Set-Cookie"])
        self.cookie = headers["Set-Cookie"].partition(";")[0]

    def page(self, path):
        status, headers, text = self.ask(path)
        self.assertEqual(status, 200, text)
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        self.assertNotRegex(text, r"https?://|<img|<link|<b>|\bsrc=")
        return headers, text

    def test_who_is_let_in(self):
        for path in ("/", "/runs.json", "/run?id=0", "/?token=" + 32 * "0", "/?token=", "/nothing"):
            status, headers, text = self.ask(path)
            self.assertEqual((status, "Set-Cookie" in headers), (403, False), path)
            self.assertNotIn("plain", text.replace("text/plain", ""))
        self.enter()
        self.assertEqual(self.ask("/")[0], 200)
        for host in ("evil.example", f"127.0.0.1:{self.address.port + 1}", "127.0.0.1"):
            self.assertEqual(self.ask("/", Host=host)[0], 403, host)
        self.assertEqual(self.ask("/", Host=f"localhost:{self.address.port}")[0], 200)
        self.assertEqual(self.ask("/", Cookie=self.cookie[:-1])[0], 403)
        self.assertEqual(self.ask("/", Cookie="a=b; " + self.cookie + "; c=d")[0], 200)
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            self.assertEqual(self.ask("/", method)[0], 405, method)
        with open("/proc/net/tcp", encoding="ascii") as table:
            listening = [row.split()[1] for row in table if row.split()[3] == "0A" and int(row.split()[1].partition(":")[2] or "0", 16) == self.address.port]
        self.assertEqual(listening, [f"0100007F:{self.address.port:04X}"], "this machine alone")

    def test_pages(self):
        self.enter()
        before = self.contents()
        _, text = self.page("/")
        self.assertIn("<h1>2 runs</h1>", text)
        self.assertIn("&lt;b&gt;&quot;&amp;", text)
        listed = json.loads(self.ok("runs", "list", "--json").stdout)
        self.assertEqual(json.loads(self.page_json("/runs.json")), listed)
        self.assertEqual(json.loads(self.page_json("/runs.json?q=" + quote("hidden=6 state=done"))), [r for r in listed if r["options"]["hidden"] == "6"])
        ids = {os.path.basename(run["folder"]): run["id"] for run in listed}
        self.assertEqual(set(re.findall(r'name="id" value="(\w+)"', text)), set(ids.values()))
        for run in listed:
            self.assertIn(f"<td>{run['figures']['val']:.4f}</td>", text)
            self.assertIn("Test accuracy <strong>", self.page(f"/run?id={run['id']}")[1])
        both = self.page("/compare?" + "&".join(f"id={i}" for i in ids.values()))[1]
        self.assertIn("2 runs side by side", both)
        self.assertRegex(both, r'<th scope="row">hidden</th><td>[68]</td><td>[68]</td>')
        fault = self.page("/?q=" + quote("hiden=<script>"))[1]
        self.assertIn("no run has &#39;hiden&#39;" if "&#39;" in fault else "no run has 'hiden'", fault)
        self.assertNotIn("<script>\"", fault)
        for path in ("/run?id=ffffffff", "/run", "/compare", "/run?id=" + quote("../../etc/passwd")):
            status, _, text = self.ask(path)
            self.assertEqual(status, 404, path)
            self.assertIn("expected", text)
        self.assertEqual(self.ask("/etc/passwd")[0], 404)
        self.assertEqual(self.contents(), before, "asking changes nothing")

    def page_json(self, path):
        status, headers, text = self.ask(path)
        self.assertEqual((status, headers["Content-Type"]), (200, "application/json"))
        return text

    def contents(self):
        return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in self.folder.rglob("*") if p.is_file() and not re.search(r"registry\.sqlite|/cache/", str(p))}

    def test_a_run_that_is_running(self):
        self.enter()
        self.assertNotIn("location.reload", self.page("/")[1])
        with open(self.folder / "plain/lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.ok("runs", "rescan", ".")
            text = self.page("/")[1]
            self.assertIn("2 runs, 1 running", text)
            self.assertIn("Running now", text)
            self.assertIn("location.reload", text)
            ident = re.search(r'href="/run\?id=(\w+)">plain<', text)[1]
            self.assertEqual(self.page(f"/run?id={ident}")[0]["Refresh"], "5")
        self.assertIn("<h1>2 runs</h1>", self.page("/")[1], "it has ended")

    def test_refusals(self):
        self.refused(5, "--port", "runs", "serve", "--port", self.address.port)
        self.refused(2, "'x', expected nothing", "runs", "serve", "x")


if __name__ == "__main__":
    unittest.main(argv=sys.argv)
