"""Many objects at once, and what the world may do meanwhile: refuse, stall, cut, expire, kill."""

from __future__ import annotations

import http.server
import itertools
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from migrator.engine.objects import Pool, Store, look
from migrator.model.errors import MigratorError, ServerError
from migrator.model.objects import Copied, CopySettings, CopyTask, ObjectName, Outcome, Storage
from migrator.servers import S3, processes, weed
from tests.support.object_kills import killed_copies
from tests.support.objects import Objects, Place, Through, error, happens, nothing_happens

GOOD = {"workers": 4}


def fill(place: Place, count: int, first: int = 0) -> list[CopyTask]:
    """Write objects, and name their copies."""
    for number in range(first, first + count):
        place.put(f"old/{number}", f"content of {number}".encode())
    return [place.task(f"old/{one}", f"new/{one}", reference=one) for one in range(first, first + count)]


def new(place: Place) -> int:
    """Count the copies."""
    return sum(key.startswith("new/") for key in place.all())


class TestPool:
    """The pool itself."""

    def test_tasks_are_taken_only_a_few_ahead(self, objects: Objects, place: Place) -> None:
        """However many tasks there are, only those in work and in hand are in memory."""
        taken = itertools.count()
        given = 0

        def tasks() -> Iterator[CopyTask]:
            for one in fill(place, 40):
                next(taken)
                yield one

        pool = Pool(objects.store, CopySettings(**GOOD))
        for one in pool.copy(tasks()):
            given += 1
            assert next(taken) - 2 * given + 1 <= 8 + given  # each look at the counter counts as well
            assert one.outcome is Outcome.COPIED
        assert 40 == given == pool.progress.objects == new(place)

    def test_progress_counts_outcomes_and_bytes(self, objects: Objects, place: Place) -> None:
        """What is counted is what was done."""
        tasks = [*fill(place, 5), place.task("none", "new/none")]
        place.put("new/0", b"content of 0")
        pool = Pool(objects.store, CopySettings(**GOOD))
        assert 6 == len(list(pool.copy(tasks)))
        assert {Outcome.COPIED: 4, Outcome.THERE: 1, Outcome.MISSING: 1} == pool.progress.outcomes
        assert 4 * len("content of 0") == pool.progress.bytes
        assert pool.progress.objects_per_second > 0
        assert pool.progress.bytes_per_second > 0

    def test_stop_finishes_what_is_begun(self, objects: Objects, place: Place) -> None:
        """After stop no task is taken; what is told as copied is copied, and nothing else is."""
        pool = Pool(objects.store, CopySettings(**GOOD))
        done = []
        for one in pool.copy(fill(place, 40)):
            done.append(one)
            pool.stop()
        assert 0 < len(done) < 20
        assert len(done) == new(place)

    def test_who_stops_listening_stops_the_pool(self, objects: Objects, place: Place) -> None:
        """A consumer that fails leaves no thread behind, and the same tasks go on later."""
        tasks = fill(place, 40)
        before = threading.active_count()
        for _ in Pool(objects.store, CopySettings(**GOOD)).copy(tasks):
            break
        assert before == threading.active_count()
        assert 40 == len(place.copy(*tasks))
        assert 40 == new(place)

    def test_tasks_that_fail_end_the_run_after_what_is_begun(self, objects: Objects, place: Place) -> None:
        """An iterator that raises is told of when all that was under way has been."""

        def tasks() -> Iterator[CopyTask]:
            yield from fill(place, 5)
            raise LookupError("the rows are gone")

        done = []
        with pytest.raises(LookupError, match="the rows are gone"):
            done.extend(Pool(objects.store, CopySettings(**GOOD)).copy(tasks()))
        assert 5 == new(place)

    def test_the_rate_is_kept(self, place: Place) -> None:
        """With a limit of objects a second no more are begun, however many threads there are."""
        tasks = fill(place, 6)
        begun = time.monotonic()
        place.copy(*tasks, objects_per_second=20.0, workers=6)
        assert time.monotonic() - begun >= 5 / 20

    def test_bytes_a_second_are_kept(self, place: Place) -> None:
        """A limit of bytes a second counts what objects weigh."""
        for number in range(3):
            place.put(f"old/{number}", b"x" * 1_000)
        begun = time.monotonic()
        place.copy(*(place.task(f"old/{one}", f"new/{one}") for one in range(3)), bytes_per_second=10_000.0)
        assert time.monotonic() - begun >= 2 * 1_000 / 10_000

    def test_stop_does_not_wait_for_its_turn(self, objects: Objects, place: Place) -> None:
        """Who waits for the rate is told to stop at once."""
        pool = Pool(objects.store, CopySettings(objects_per_second=0.01, workers=4))
        copies = pool.copy(fill(place, 4))
        assert next(copies).outcome is Outcome.COPIED
        pool.stop()
        assert [] == list(copies)

    def test_two_with_one_target(self, place: Place) -> None:
        """Of two objects for one key one wins, and the other is at fault, whoever comes first."""
        for number in range(8):
            place.put(f"old/{number}", f"{number}".encode())
        done = place.copy(*(place.task(f"old/{one}", "new") for one in range(8)), workers=8)
        assert {Outcome.COPIED: 1, Outcome.OCCUPIED: 7} == Counter(one.outcome for one in done)


class TestPassing:
    """What passes is tried again."""

    @pytest.mark.parametrize(
        "answer",
        [error("SlowDown", 503), error("InternalError", 500), error("InternalError", 200)],
        ids=["503", "500", "an error in the body of a 200"],
    )
    def test_a_bad_moment_of_the_store(self, answer: object, objects: Objects, place: Place) -> None:
        """The request is sent again, and the object is copied."""
        tasks = fill(place, 1)
        with ExitStack() as stack:
            happens(store := stack.enter_context(objects.open()), "CopyObject", answer)
            assert [Outcome.COPIED] == [one.outcome for one in place.copy(*tasks, store=store)]

    def test_an_answer_that_is_lost(self, objects: Objects, place: Place) -> None:
        """The copy was made and nobody told us: the second attempt finds it and knows it for ours."""
        tasks = fill(place, 3)
        with Through(objects) as way, objects.open(way.endpoint) as store:
            way.on(f"PUT /{place.bucket}/{place.prefix}new/1 ".encode(), "lose the answer")
            done = place.copy(*tasks, store=store)
            assert way.happened.is_set()
        assert {Outcome.COPIED} == {one.outcome for one in done}

    def test_a_connection_that_is_cut(self, objects: Objects, place: Place) -> None:
        """What never arrived is sent again."""
        tasks = fill(place, 3)
        with Through(objects) as way, objects.open(way.endpoint) as store:
            way.on(f"PUT /{place.bucket}/{place.prefix}new/1 ".encode(), "lose the message")
            done = place.copy(*tasks, store=store)
            assert way.happened.is_set()
        assert {Outcome.COPIED} == {one.outcome for one in done}

    def test_an_object_that_breaks_off_while_it_is_read(self, objects: Objects, place: Place) -> None:
        """A reading that is cut begins anew."""
        body = os.urandom(5 << 20) + b"end"
        place.put_in_parts("a", body, 5 << 20)
        with Through(objects) as way, objects.open(way.endpoint) as store:
            way.cut("answers", after=1 << 20)
            assert Outcome.COPIED is place.copy_one("a", "b", store=store).outcome
            assert way.happened.is_set()


class TestStopped:
    """What does not pass ends the run, under its name, and the next one goes on."""

    @pytest.mark.parametrize(
        ("code", "status", "id", "exit_code"),
        [
            ("SlowDown", 503, "M259", 1),
            ("ExpiredToken", 400, "M254", 1),
            ("InvalidAccessKeyId", 403, "M253", 2),
            ("AuthorizationHeaderMalformed", 400, "M256", 2),
            ("RequestTimeTooSkewed", 403, "M260", 1),
            ("AllAccessDisabled", 403, "M257", 2),
        ],
    )
    def test_in_the_middle_of_a_run(
        self, code: str, status: int, id: str, exit_code: int, objects: Objects, place: Place
    ) -> None:
        """What was finished is told first, then the error is raised; run again, everything is copied once."""
        tasks = fill(place, 12)
        with ExitStack() as stack:
            # One that was told to slow down is slow for a while.
            store = stack.enter_context(objects.open(tries=1)) if code == "SlowDown" else objects.store
            happens(store, "CopyObject", *[lambda _: None] * 6, *[error(code, status)] * 100)
            with pytest.raises(MigratorError) as caught:
                list(Pool(store, CopySettings(**GOOD)).copy(tasks))
        nothing_happens(objects.store)
        assert (id, exit_code) == (caught.value.id, caught.value.exit_code)
        assert caught.value.cure
        assert 6 <= new(place) <= 12
        outcomes = Counter(one.outcome for one in place.copy(*tasks))
        assert {Outcome.COPIED, Outcome.THERE} == set(outcomes)
        assert 12 == new(place)

    def test_what_was_finished_is_told_before_the_error(self, objects: Objects, place: Place) -> None:
        """No copy that was made before the end is left untold."""
        tasks = fill(place, 12)
        told: list[Copied] = []
        happens(objects.store, "CopyObject", *[lambda _: None] * 6, *[error("ExpiredToken", 400)] * 100)
        copies = Pool(objects.store, CopySettings(**GOOD)).copy(tasks)
        with pytest.raises(MigratorError, match="M254"):
            while True:
                told.append(next(copies))
        assert {Outcome.COPIED} == {one.outcome for one in told}
        assert 6 == len(told) == new(place)

    def test_an_expired_token_where_only_head_would_tell(self, objects: Objects, place: Place) -> None:
        """The answer to HEAD has no words; they are asked for."""
        tasks = fill(place, 1)
        happens(objects.store, "HeadObject", error("", 400))
        happens(objects.store, "GetObject", error("ExpiredToken", 400))
        with pytest.raises(MigratorError, match="M254"):
            place.copy(*tasks)

    def test_no_bucket(self, objects: Objects, place: Place) -> None:
        """A bucket that is not there is no fault of an object, also where only HEAD was asked."""
        name = place.put("a")
        nowhere = ObjectName(f"{objects.name}-none", "a")
        for act in (lambda: objects.store.check(nowhere.bucket), lambda: look(objects.store, nowhere)):
            with pytest.raises(MigratorError, match=rf"M255 There is no bucket {nowhere.bucket}"):
                act()
        with pytest.raises(MigratorError, match="M255"):
            place.copy(CopyTask(source=nowhere, target=name))

    def test_a_bucket_that_lets_nobody_list_but_read(self, objects: Objects) -> None:
        """Who may not list may still be able to copy; who may do nothing at all is told by the objects."""
        store = objects.store
        happens(store, "ListObjectsV2", error("AccessDenied", 403))
        store.check(objects.shared)

    def test_wrong_secret(self, objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
        """A secret that does not belong to the key is told in these words."""
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        with Store.open(objects.storage) as store, pytest.raises(MigratorError, match="M253"):
            look(store, ObjectName(objects.shared, "a"))

    def test_no_credentials(self, objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without credentials anywhere the chain is explained."""
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            monkeypatch.setenv(name, os.devnull)
        with Store.open(objects.storage) as store, pytest.raises(MigratorError, match="M252") as caught:
            store.check(objects.shared)
        assert "AWS_PROFILE" in caught.value.cure

    def test_a_profile_that_is_none(self, objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
        """A profile nobody wrote is told before anything is sent."""
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        with pytest.raises(MigratorError, match=r"M263 .*nobody"):
            Store.open(objects.storage)

    def test_no_network(self, objects: Objects) -> None:
        """A port where nobody listens is M258 with the address."""
        with objects.open("http://127.0.0.1:9", tries=1) as store, pytest.raises(MigratorError, match=r"M258 .*:9"):
            store.check(objects.shared)

    def test_no_s3(self, objects: Objects) -> None:
        """Something else that answers, whatever it says, is told from a store."""
        statuses = [200, 403, 404, 405]

        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(statuses[0])
                self.end_headers()
                self.wfile.write(b"<html><p>Welcome<br></html>")

            def log_message(self, *_: object) -> None:
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            with objects.open(f"http://127.0.0.1:{server.server_port}", tries=1) as store:
                while statuses:
                    with pytest.raises(MigratorError, match="M261"):
                        store.check(objects.shared)
                    statuses.pop(0)
            server.shutdown()


def test_five_kills_leave_every_object_copied_once(objects: Objects) -> None:
    """Killed five times and run again: no object is lost, none was copied twice, and the way back leaves nothing."""
    killed_copies(objects, random.Random(5), count=60, kills=5)


def test_what_stops_before_it_is_proven_is_not_left(objects: Objects, place: Place) -> None:
    """Told to stop while it reads a copy to prove it, the pool takes the copy back: nobody would know it for ours."""
    place.put_in_parts("a", os.urandom((5 << 20) + 10), 5 << 20)
    pool = Pool(objects.store, CopySettings(**GOOD))
    happens(objects.store, "GetObject", lambda _: pool.stop())
    assert [] == list(pool.copy([place.task("a", "b")]))
    assert ["a"] == list(place.all())


def test_boto3_is_not_imported_before_it_is_needed() -> None:
    """Who merely knows that objects can be copied does not pay for it."""
    ask = "import sys, migrator.engine.objects; print({'boto3', 'botocore'} & set(sys.modules))"
    assert (
        "set()"
        == subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    )


class TestServer:
    """Our own S3 server."""

    def test_it_dies_with_its_owner(self) -> None:
        """A process that is killed takes its server with it."""
        code = "from migrator.servers import S3; import time; print(S3.start().pid, flush=True); time.sleep(60)"
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as owner:
            assert owner.stdout is not None
            pid = int(owner.stdout.readline())
            assert processes.alive(pid)
            owner.kill()
        assert processes.until(lambda: not processes.alive(pid), seconds=30)

    def test_sockets_of_the_dead_are_removed(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """What a server whose owner was killed left behind goes with the next start; what somebody hears stays."""
        monkeypatch.setattr(weed, "SOCKETS", tmp_path)
        dead, living, foreign = (tmp_path / f"seaweedfs-{one}.sock" for one in ("s3-15003", "s3-grpc-25008", "s3-8333"))
        with socket.socket(socket.AF_UNIX) as heard:
            heard.bind(str(living))
            heard.listen()
            for one in (dead, foreign):
                with socket.socket(socket.AF_UNIX) as left:
                    left.bind(str(one))
            weed.remove_stale_sockets()
        assert {living, foreign} == set(tmp_path.iterdir())

    def test_sockets_of_starters_stay(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """A socket that is there but not heard yet is left alone while somebody holds its block."""
        monkeypatch.setattr(weed, "SOCKETS", tmp_path)
        base, guard = weed.claim_block()
        starting = tmp_path / f"seaweedfs-s3-{weed.s3_port(base)}.sock"
        with guard, socket.socket(socket.AF_UNIX) as unheard:
            unheard.bind(str(starting))
            weed.remove_stale_sockets()
            assert starting.exists()
        weed.remove_stale_sockets()
        assert not starting.exists()

    def test_it_leaves_nothing(self) -> None:
        """Once closed neither its process nor its sockets are there, and it may be closed twice."""
        server = S3.start()
        pid = server.pid
        assert pid
        server.close()
        server.close()
        assert server.pid is None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        port = int(server.endpoint.rpartition(":")[2])
        assert not list(weed.SOCKETS.glob(f"seaweedfs-*-{port}.sock"))

    def test_a_port_that_is_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """When somebody else is quicker at a port, other ones are tried."""
        claims = [weed.claim_block(), weed.claim_block()]
        taken, _ = claims[0]
        left = iter(claims)
        monkeypatch.setattr(weed, "claim_block", lambda: next(left))
        with socket.create_server(("127.0.0.1", weed.s3_port(taken))), S3.start() as server:
            assert server.endpoint.endswith(f":{weed.s3_port(claims[1][0])}")

    def test_without_seaweed_moto_serves_and_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where there is no SeaweedFS, moto stands in, in a thread."""
        monkeypatch.setattr(weed, "find", lambda: None)
        with S3.start() as server:
            assert "moto" in server.about
            assert server.pid is None
            for name, value in server.environment.items():
                monkeypatch.setenv(name, value)
            Store.open(Storage(endpoint=server.endpoint, region=server.region)).client.create_bucket(Bucket="bucket")

    def test_a_program_that_does_not_start(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """What the program said stands in the error."""
        program = tmp_path / "weed"
        program.write_text("#!/bin/sh\necho no room\nexit 1\n")
        program.chmod(0o755)
        monkeypatch.setattr(weed, "find", lambda: program)
        with pytest.raises(ServerError, match=r"(?s)M266 .*no room"):
            S3.start()
