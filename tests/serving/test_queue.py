"""The queue: bounded, in batches of one model, and nothing in it is lost, mixed up, or computed for nobody."""

import threading
import time

import numpy as np
import pytest
import torch
from server_calls import WORDS, ask, png, xy
from stand_in import StandIn
from test_uploads import refused
from waiting import until

from anykeypoint import Category
from anykeypoint.images import read_picture
from anykeypoint.serving.answering import Question, answer_batch
from anykeypoint.serving.batching import BatchQueue
from anykeypoint.serving.refusals import Refusal
from anykeypoint.serving.server_limits import ServerLimits
from anykeypoint.serving.server_metrics import ServerMetrics
from anykeypoint.serving.uploads import content_key


@pytest.fixture
def model():
    return StandIn()


def in_background(*calls):
    """The threads that make these calls, and the list that their answers come into."""
    answers = [None] * len(calls)

    def run(place, call):
        answers[place] = call()

    threads = [threading.Thread(target=run, args=(i, call)) for i, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    return threads, answers


def held_up(client, model):
    """A request that the model is at work on until it is let go."""
    model.hold.clear()
    threads, answers = in_background(lambda: ask(client, keypoints="slow"))
    assert model.began.wait(30)
    return threads[0], answers


def metric(client, line):
    return next((row for row in client.get("/metrics").text.splitlines() if row.startswith(line)), "")


def test_a_full_queue_is_429_with_a_time_to_come_back(serving, model):
    client = serving(model, queue=2)
    thread, answers = held_up(client, model)
    answer = ask(client, keypoints=WORDS, boxes=[[0, 0, 9, 9], [1, 1, 9, 9]])
    refused(answer, 429, "queue of 2 objects", "no room for 2")
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    model.hold.set()
    thread.join()
    assert answers[0].status_code == 200 and ask(client, keypoints=WORDS).status_code == 200


def test_what_waited_too_long_is_503_and_is_not_computed(serving, model):
    client = serving(model, queue_seconds=0.05)
    thread, _ = held_up(client, model)
    (late,), answers = in_background(lambda: ask(client, keypoints="late"))
    until(lambda: metric(client, "anykeypoint_queue_length") == "anykeypoint_queue_length 2.0")
    time.sleep(0.1)
    model.hold.set()
    thread.join()
    late.join()
    refused(answers[0], 503, "waited too long")
    assert answers[0].headers["retry-after"] and ["late"] not in model.asked
    assert 'reason="expired"} 1.0' in metric(client, "anykeypoint_dropped_total")


def test_a_client_that_went_away_is_not_computed(model):
    queue = BatchQueue(lambda name, questions: answer_batch(model, questions), ServerLimits(), ServerMetrics())
    picture = read_picture(png())
    question = Question(picture, content_key(picture), Category.from_text("gone"))
    (future,), (other,) = queue.submit("a", [question]), queue.submit("a", [question])
    assert future.cancel()
    queue.start()
    assert other.result(30).names == ["gone"] and model.asked == [["gone"]]
    queue.stop()


def test_a_batch_is_of_one_model_and_the_order_is_kept_for_the_others():
    batches = []

    def answer(model, questions):
        batches.append((model, questions))
        return questions

    queue = BatchQueue(answer, ServerLimits(batch=3), ServerMetrics())
    futures = [queue.submit(model, [f"{model}{i}"])[0] for i, model in enumerate("aabaab")]
    queue.start()
    assert [future.result(30) for future in futures] == ["a0", "a1", "b2", "a3", "a4", "b5"]
    assert batches == [("a", ["a0", "a1", "a3"]), ("b", ["b2", "b5"]), ("a", ["a4"])]
    queue.stop()


def test_requests_that_come_together_go_through_the_model_together(serving, model):
    client = serving(model, gather_seconds=0.2)
    thread, _ = held_up(client, model)
    names = [f"point {i}" for i in range(6)]
    threads, answers = in_background(*[lambda name=name: ask(client, keypoints=name) for name in names])
    until(lambda: metric(client, "anykeypoint_queue_length") == "anykeypoint_queue_length 7.0")
    model.hold.set()
    for one in (thread, *threads):
        one.join()
    assert [answer.json()["poses"][0]["names"] for answer in answers] == [[name] for name in names]
    assert 'le="8.0"} 2.0' in metric(client, 'anykeypoint_batch_size_bucket{le="8.0"')
    assert 'le="4.0"} 1.0' in metric(client, 'anykeypoint_batch_size_bucket{le="4.0"')  # "slow" alone


def test_one_bad_request_spoils_no_other_of_its_batch(serving, model):
    client = serving(model, gather_seconds=0.2)
    thread, _ = held_up(client, model)
    words = ["good 1", "bad", "good 2"]
    threads, answers = in_background(*[lambda text=text: ask(client, keypoints=text) for text in words])
    until(lambda: metric(client, "anykeypoint_queue_length") == "anykeypoint_queue_length 4.0")
    model.hold.set()
    for one in (thread, *threads):
        one.join()
    assert [answer.status_code for answer in answers] == [200, 500, 200]
    body = refused(answers[1], 500, "not the request's fault")
    assert "fails" not in body["error"]


def test_every_client_gets_its_own_answer(serving):
    """Pictures of many colours, whose answers are their colours, asked for at once."""
    from io import BytesIO

    from PIL import Image

    client = serving(StandIn(), gather_seconds=0.05, batch=5)

    def coloured(i):
        file = BytesIO()
        Image.new("RGB", (8, 8), (i, 2 * i, 0)).save(file, "PNG")
        return file.getvalue()

    calls = [lambda i=i: ask(client, image=coloured(i % 20), keypoints=f"p{i}") for i in range(60)]
    threads, answers = in_background(*calls)
    for thread in threads:
        thread.join()
    for i, answer in enumerate(answers):
        assert answer.json()["poses"][0]["names"] == [f"p{i}"] and np.allclose(xy(answer), [i % 20, 2 * (i % 20)])


@pytest.mark.parametrize("size", [2, 5])
def test_a_batch_that_fails_is_asked_one_by_one_and_for_want_of_memory_in_halves(size):
    tried = []

    class Together(StandIn):
        batch = 8

        def predict_batch(self, queries):
            tried.append(len(queries))
            if len(queries) > 1:
                raise torch.OutOfMemoryError if size == 5 else RuntimeError("a fault")
            return [self.predict(queries[0].image, queries[0].category)]

    picture = read_picture(png())
    questions = [
        Question(picture, content_key(picture), Category.from_text("bad" if i == 1 else f"p{i}")) for i in range(size)
    ]
    answers = answer_batch(Together(), questions)
    assert [type(answer).__name__ for answer in answers] == ["Pose", "PredictionFailed", *["Pose"] * (size - 2)]
    assert tried == ([5, 2, 1, 1, 3, 1, 1, 1] if size == 5 else [2, 1, 1])


def test_a_stopped_queue_refuses_what_waits_and_what_comes(model):
    queue = BatchQueue(lambda name, questions: questions, ServerLimits(), ServerMetrics())
    (waiting,) = queue.submit("a", [1])
    queue.stop()
    with pytest.raises(Refusal) as refused_at_once:
        queue.submit("a", [1])
    for refusal in (waiting.exception(1), refused_at_once.value):
        assert refusal.status == 503 and "shutting down" in refusal.sentence


def test_too_many_requests_at_once_are_429(serving, model):
    client = serving(model, requests=1)
    thread, _ = held_up(client, model)
    answer = ask(client, keypoints=WORDS)
    refused(answer, 429, "under way")
    assert answer.headers["retry-after"] == "1"
    model.hold.set()
    thread.join()
    assert client.get("/healthz").status_code == 200
