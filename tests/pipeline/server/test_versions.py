"""Versions under load: a new one and a rollback lose no request, and each answer is one version's own."""

import collections
import shutil
import sys
import threading
import time

import grpc
import pytest
from open_inference.grpc import protocol, service

from pipeline.publishing.versions import roll_back
from pipeline.server.errors import RequestError
from pipeline.server.logs import Log
from pipeline.server.saved_model import LoadedModel
from pipeline.server.versions import Versions
from tests.pipeline.server.clients import Rest


@pytest.fixture(scope="module")
def place(numbered, tmp_path_factory):
    """A folder of a model with version 1."""
    place = tmp_path_factory.mktemp("swapped") / "swapped"
    shutil.copytree(numbered[1], place / "1")
    return place


@pytest.fixture(scope="module")
def events():
    """What the server said, as (event, version)."""
    return []


@pytest.fixture(scope="module")
def swapped(place, start, events):
    class Recorded(Log):
        def __call__(self, event, **details):
            events.append((event, details.get("version")))

    return start(place, Recorded())


def push(export, place, number):
    """Publishes a version by one rename, as the pusher does."""
    shutil.copytree(export, place / f".scratch-{number}")
    (place / f".scratch-{number}").rename(place / str(number))


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)


def ask_rest(address, image):
    tensor = {"name": "image", "shape": [1, *image.shape], "datatype": "UINT8", "data": image.ravel().tolist()}
    request = {"inputs": [tensor], "outputs": [{"name": "label_map"}]}
    status, answer = Rest(address).json("POST", "/v2/models/swapped/infer", request)
    assert status == 200, answer
    return int(answer["model_version"]), answer["outputs"][0]["data"]


def ask_grpc(stub, image):
    request = protocol.ModelInferRequest(model_name="swapped", raw_input_contents=[image.tobytes()])
    request.inputs.add(name="image", datatype="UINT8", shape=[1, *image.shape])
    request.outputs.add(name="label_map")
    response = stub.ModelInfer(request)
    return int(response.model_version), response.raw_output_contents[0]


def test_new_versions_and_a_rollback_lose_no_request(place, swapped, events, numbered, image):
    stop, seen, failures = threading.Event(), collections.Counter(), []

    def load(ask):
        while not stop.wait(0.005):
            try:
                version, found = ask()
                assert set(found) == {version}, f"version {version} gave another's answer"
                seen[version] += 1
            except Exception as error:
                failures.append(repr(error))

    def is_alone(number):
        return lambda: swapped.versions.states() == {number: "AVAILABLE"}

    with grpc.insecure_channel(swapped.grpc) as channel:
        stub = service.GRPCInferenceServiceStub(channel)
        asks = (lambda: ask_rest(swapped.rest, image), lambda: ask_grpc(stub, image))
        threads = [threading.Thread(target=load, args=(ask,)) for ask in asks]
        for thread in threads:
            thread.start()
        push(numbered[2], place, 2)
        wait_for(is_alone(2))
        assert roll_back(place) == (place / "rolled_back-2", 1)  # as `kseg run --rollback` does
        wait_for(is_alone(1))
        push(numbered[3], place, 3)
        wait_for(is_alone(3))
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures and set(seen) == {1, 2, 3}
    assert [number for event, number in events if event == "version_served"] == [1, 2, 1, 3]
    # The log says so at the next look at the folder.
    wait_for(lambda: sorted(number for event, number in events if event == "version_dropped") == [1, 1, 2])


def test_a_version_that_somebody_holds_is_among_the_states_at_any_moment(tmp_path):
    def put(number):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "saved_model.pb").write_bytes(b"a graph")

    def switch():
        for number in range(2, 200):
            put(number)
            versions.update()
            shutil.rmtree(tmp_path / str(number - 1))

    def load(place, number):
        return LoadedModel(number, {}, {}, None, None)

    put(1)
    versions = Versions(tmp_path, load, number=1, poll=60, log=lambda event, **details: None)
    versions.update()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    switching = threading.Thread(target=switch)
    try:
        switching.start()
        while switching.is_alive():
            held = versions.get()
            assert held.number in versions.states()
    finally:
        sys.setswitchinterval(before)
        switching.join()
    assert versions.get().number == 199


def test_a_damaged_version_is_passed_over_until_it_is_whole(place, swapped, events, numbered):
    events.clear()
    push(numbered[1], place, ".half")
    data = next((place / ".half" / "variables").glob("*.data*"))
    whole = data.read_bytes()
    data.write_bytes(b"")
    (place / ".half").rename(place / "6")
    wait_for(lambda: ("version_refused", 6) in events)
    time.sleep(0.5)  # several more looks
    assert [event for event, number in events if number == 6] == ["version_refused"]
    assert swapped.versions.get().number == 3
    (place / "6" / "variables" / data.name).write_bytes(whole)
    wait_for(lambda: swapped.versions.states() == {6: "AVAILABLE"})


def test_what_is_no_version_is_never_loaded(place, swapped, events):
    before = swapped.versions.get()
    events.clear()
    for name in ("7", "008", "x9"):
        (place / name).mkdir()
    (place / "10").write_text("")
    time.sleep(0.5)
    assert swapped.versions.get().number == before.number
    assert not [event for event, _ in events if event in ("version_served", "version_refused")]


def test_a_folder_that_vanishes_leaves_the_last_version(place, swapped):
    before = swapped.versions.get()
    place.rename(place.with_name("elsewhere"))
    time.sleep(0.5)
    assert swapped.versions.get() is before
    place.with_name("elsewhere").rename(place)


def test_several_versions_can_be_asked_by_number(numbered, tmp_path, start):
    place = tmp_path / "several"
    for number in (1, 2, 3):
        shutil.copytree(numbered[number], place / str(number))
    server = start(place, versions=2)
    assert server.versions.get(2).number == 2 and server.versions.get().number == 3
    with pytest.raises(RequestError, match="one that is served: 2, 3"):
        server.versions.get(1)
    rest = Rest(server.rest)
    assert rest.json("GET", "/v2/models/several/versions/2")[1]["versions"] == ["2", "3"]
    assert rest.json("GET", "/v1/models/several/versions/1")[0] == 404


def test_a_folder_without_a_good_version_is_refused(tmp_path, start):
    (tmp_path / "empty" / "1").mkdir(parents=True)
    (tmp_path / "empty" / "1" / "saved_model.pb").write_bytes(b"no model")
    with pytest.raises(ValueError, match="must have a version that can be served"):
        start(tmp_path / "empty")
