"""From rows to ranks: means by hand, what is never mixed, what is refused, what was seen."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_store import Discs, write_store
from typer.testing import CliRunner

from benchmark.board import wording
from benchmark.cli import app
from benchmark.contamination import contamination
from benchmark.judging.comparison import shared_ranks
from benchmark.method import About
from benchmark.ranking import leaderboard
from benchmark.results import (
    ENSEMBLE,
    POOL,
    ROWS,
    Provenance,
    ResultsError,
    folder_of,
    write_rows,
)
from benchmark.standings import Estimate
from benchmark.statistics import ALL, bootstrap
from benchmark.suite import load_suite

RV = "acdc/challenge2017/mri/axial/mid/right-ventricle"
LV = "acdc/challenge2017/mri/axial/mid/left-ventricle"
CELL = "wbc/jtsc/microscopy/2d/mid/nucleus"
HAND = {RV: {"p1": 0.2, "p2": 0.4}, LV: {"p1": 0.8, "p2": 0.6}, CELL: {"c1": 0.9, "c2": 0.7}}
FAR = 0.123  # a Dice of single draws that no ensemble here has


def table(method, dice=HAND, size=4, draws=(FAR, FAR), weights="", **columns):
    """Rows as a run writes them, of the ensembles and of two draws; None: the method failed."""
    made = [
        {
            "suite": "heldout",
            "protocol": "a" * 64,
            "data": "d" * 64,
            "method": method,
            "version": "1",
            "weights": weights,
            "task": task,
            "dataset": task.split("/")[0],
            "group": "/".join(task.split("/")[:2]),
            "subject": subject,
            "patient": subject,
            "support_size": size,
            "draw": draw,
            "dice": value,
            "seconds": 0.5 if draw == ENSEMBLE else 0.1,
            "memory": 10**8,
            "failure": "" if value is not None else "ValueError: it failed",
        }
        | columns
        for task, subjects in dice.items()
        for subject, ensemble in subjects.items()
        for draw, value in enumerate((ensemble, *draws), ENSEMBLE)
    ]
    return pd.DataFrame(made, columns=ROWS.names)


def moved(by, dice=HAND):
    return {task: {name: value + by for name, value in all_.items()} for task, all_ in dice.items()}


def provenance(method, weights="", missing=(), **about):
    made = About(method, "a paper", weights=weights, **about)
    return Provenance(method, made, "2 cores", "0.1.0", "STORE", "f" * 64, missing)


def board_of(
    *tables: pd.DataFrame, suite=None, missing=(), trained_on=None, resamples=200, least=1
):
    rows = pd.concat(tables, ignore_index=True)
    methods = rows[["method", "weights"]].drop_duplicates().itertuples(index=False)
    made = [provenance(*each, missing, trained_on=trained_on or {}) for each in methods]
    return leaderboard(rows, made, suite, resamples, least=least)


def standing(board, method, size=4):
    (ranking,) = [each for each in board.rankings if each.support_size == size]
    (found,) = [each for each in ranking.standings if each.method == method]
    return found


def test_means_are_those_of_a_hand():
    board = board_of(table("a", draws=(0.1, 0.5)), missing=["scd/las/mri/axial/mid/left-atrium"])
    found = standing(board, "a")
    assert {task: each.value for task, each in found.tasks.items()} == pytest.approx(
        {RV: 0.3, LV: 0.7, CELL: 0.8}
    )
    assert {name: each.value for name, each in found.datasets.items()} == pytest.approx(
        {"acdc": 0.5, "wbc": 0.8}
    )
    assert found.dice.value == pytest.approx(0.65)
    assert found.draws == pytest.approx(0.3)
    assert (found.seconds, found.memory) == (0.5, 10**8)
    assert board.of_how_many(board.rankings[0]) == "2 of 3 datasets"
    assert board.missing == ("scd/las/mri/axial/mid/left-atrium",)


def test_intervals_and_ranks_are_the_bootstrap_of_the_ensembles():
    rng = np.random.default_rng(0)
    noisy = [{task: {f"s{n}": rng.random() for n in range(8)} for task in HAND} for _ in range(3)]
    rows = pd.concat([table(name, dice) for name, dice in zip("abc", noisy, strict=True)])
    board = board_of(rows, resamples=500)
    ensembles = rows[rows["draw"] == ENSEMBLE]
    expected = bootstrap(ensembles, 500, seed=0)
    for each in expected.intervals().itertuples():
        own = standing(board, each.method)
        found = own.dice if each.dataset == ALL else own.datasets[each.dataset]
        found = found if each.task == ALL else own.tasks[each.task]
        assert found == Estimate(each.mean, each.low, each.high)
    ranks = expected.ranks()
    for each in ranks[(ranks["dataset"] == ALL)].itertuples():
        assert standing(board, each.method).place == Estimate(each.rank, each.low, each.high)
    order = [each.place.value for each in board.rankings[0].standings]
    assert order == sorted(order)


@pytest.fixture(scope="module")
def without():
    return standing(board_of(table("a"), table("b", moved(0.05))), "a")


@settings(max_examples=6, deadline=None)
@given(draws=st.lists(st.floats(0, 1), min_size=2, max_size=2))
def test_single_draws_never_enter_the_score(draws, without):
    other = standing(board_of(table("a", draws=draws), table("b", moved(0.05))), "a")
    assert other.draws == pytest.approx(np.mean(draws))
    assert replace(other, draws=without.draws) == without


def test_differences_are_to_the_best_and_paired():
    board = board_of(table("a"), table("b", moved(-0.1)), table("c", moved(-0.15)))
    assert board.rankings[0].best == "a"
    assert standing(board, "a").to_best is None
    for method, difference in (("b", -0.1), ("c", -0.15)):
        found = standing(board, method).to_best
        assert (found.value, found.low, found.high) == pytest.approx([difference] * 3)
        assert standing(board, method).dice.low < standing(board, method).dice.high


def test_each_support_size_has_a_ranking_of_its_own():
    board = board_of(
        table("a", size=4), table("a", moved(0.05), size=16), table("b", moved(0.02), size=4)
    )
    assert [ranking.support_size for ranking in board.rankings] == [16, 4]
    assert [each.method for each in board.rankings[0].standings] == ["a"]
    assert [each.method for each in board.rankings[1].standings] == ["b", "a"]
    assert standing(board, "a", 16).dice.value == pytest.approx(0.7)


def test_a_method_trained_on_the_pool_is_beside_all_sizes_and_takes_no_place():
    best = table("supervised", moved(0.1), size=POOL, draws=())
    shown = [
        table(name, moved(by), size) for name, by in (("a", 0.05), ("b", 0)) for size in (4, 16)
    ]
    board = board_of(best, *shown)
    alone = board_of(*shown)
    for size in (4, 16):
        found = standing(board, "supervised", size)
        assert found.uses_pool
        assert found.rank is None
        assert found.draws is None
        assert found.to_best.value == pytest.approx(0.05)
        for method in ("a", "b"):
            assert standing(board, method, size) == standing(alone, method, size)
        assert [each.method for each in board.rankings[0].standings] == ["a", "b", "supervised"]
    only = board_of(best, table("other", size=POOL, draws=()))
    assert [ranking.support_size for ranking in only.rankings] == [POOL]
    assert standing(only, "supervised", POOL).place.value == 1


@pytest.mark.parametrize("lost", ["subject", "task", "score"])
def test_a_method_that_misses_cases_has_no_rank_and_the_others_keep_theirs(lost):
    poor = {
        "subject": HAND | {RV: {"p1": 1.0}},
        "task": {LV: HAND[LV], CELL: HAND[CELL]},
        "score": HAND | {RV: {"p1": 1.0, "p2": None}},
    }[lost]
    board = board_of(table("poor", poor), table("a"), table("b", moved(-0.1)))
    found = standing(board, "poor")
    assert (found.dice, found.rank, found.place, found.to_best) == (None,) * 4
    assert (found.datasets["acdc"], found.tasks[RV]) == (None, None)
    assert found.datasets["wbc"].value == pytest.approx(0.8)
    assert found.scored == f"{4 if lost == 'task' else 5} of 6 cases"
    assert found.failed == (lost == "score")
    assert [each.method for each in board.rankings[0].standings] == ["a", "b", "poor"]
    assert standing(board, "b").place == Estimate(2, 2, 2)
    assert [each.reason for each in board.failures] == ["ValueError: it failed"] * found.failed


def test_rows_of_different_protocols_are_refused_and_named():
    rows = [table("old", protocol="b" * 64), table("a"), table("c")]
    with pytest.raises(ResultsError) as error:
        board_of(*rows)
    assert "protocol bbbbbbbb: old" in str(error.value)
    assert "protocol aaaaaaaa: a, c" in str(error.value)
    with pytest.raises(ResultsError, match="suite mine, protocol aaaaaaaa: old"):
        board_of(table("old", suite="mine"), table("a"))


def test_rows_of_different_data_are_refused_and_named():
    other = table("old")
    other.loc[other["task"] == LV, "data"] = "e" * 64
    with pytest.raises(ResultsError) as error:
        board_of(other, table("a"), table("c"))
    assert f"{LV}: a, c on dddddddd; old on eeeeeeee" in str(error.value)
    assert RV not in str(error.value)


def test_the_suite_is_known_by_its_protocol_only():
    packaged = load_suite("heldout")
    assert board_of(table("a")).settings is None
    assert board_of(table("a", protocol=packaged.protocol)).settings == packaged
    with pytest.raises(ResultsError, match="aaaaaaaa, and not of heldout"):
        board_of(table("a"), suite=packaged)


def test_no_rows_and_rows_of_nobody_are_refused():
    with pytest.raises(ResultsError, match="no rows"):
        leaderboard(table("a").iloc[:0], [])
    with pytest.raises(ResultsError, match=r"no method.json of a"):
        leaderboard(table("a"), [provenance("b")])


def test_datasets_of_few_patients_are_marked():
    many = {task: {f"s{n}": n / 20 for n in range(20)} for task in (RV, LV)}
    board = board_of(table("a", many | {CELL: HAND[CELL]}), least=20)
    assert board.patients == {"acdc": 20, "wbc": 2}
    assert board.small == ("wbc",)


def test_few_patients_are_not_ranked_and_the_headline_says_so():
    board = board_of(table("a"), table("b", moved(-0.1)), least=20)
    (ranking,) = board.rankings
    assert [(one.method, one.rank) for one in ranking.standings] == [("a", None), ("b", None)]
    assert ranking.too_few == 4
    assert "n = 4: too few to rank" in wording.summary(board)
    assert "does best" not in wording.summary(board)


def spread(mean, count=24):
    """Dice of many patients around a mean, the same around every mean."""
    around = np.linspace(-0.1, 0.1, count)
    return {CELL: {f"c{n}": mean + each for n, each in enumerate(around)}}


def test_methods_whose_intervals_overlap_share_a_rank_and_the_headline_names_them():
    board = board_of(
        table("best", spread(0.8)), table("near", spread(0.79)), table("far", spread(0.5)), least=20
    )
    ranks = {one.method: one.rank for one in board.rankings[0].standings}
    assert ranks == {"best": 1, "near": 1, "far": 3}
    assert "not distinguishable from near" in wording.summary(board)
    assert "far" not in wording.summary(board)
    assert standing(board, "best").first == 1
    assert standing(board, "far").first == 0


def test_a_wide_interval_gives_no_better_rank_than_a_higher_dice():
    scores = {
        "wide": Estimate(50.5, 45.7, 55.2),
        "narrow": Estimate(52.0, 48.9, 54.9),
        "second": Estimate(62.6, 55.0, 70.0),
        "best": Estimate(65.4, 62.5, 68.3),
    }
    assert shared_ranks(scores) == {"best": 1, "second": 1, "narrow": 3, "wide": 3}


@pytest.mark.parametrize("track", ["in context", "tuned"])
def test_tracks_are_ranked_each_by_itself_and_bounds_beside_both(track):
    board = board_of(
        table("a", track="in context", support="query"),
        table("b", moved(0.1), track="tuned", support="task"),
        table("pool", moved(0.2), size=POOL, draws=(), track="tuned", support="pool"),
    )
    assert [ranking.track for ranking in board.rankings] == ["in context", "tuned"]
    (ranking,) = [each for each in board.rankings if each.track == track]
    (shown,), (bound,) = ranking.shown, ranking.bounds
    assert (shown.method, bound.method) == ({"in context": "a", "tuned": "b"}[track], "pool")
    assert (shown.place, shown.to_best, bound.rank) == (Estimate(1, 1, 1), None, None)
    assert shown.shares_support == (track == "tuned")


def test_single_draws_and_ensembles_are_never_ranked_together():
    board = board_of(table("many"), table("one", moved(0.1), draws=()))
    kinds = [(each.is_single, [one.method for one in each.shown]) for each in board.rankings]
    assert kinds == [(False, ["many"]), (True, ["one"])]
    assert [one.supports for each in board.rankings for one in each.shown] == [2, 1]


def test_what_was_expected_stands_beside_what_came():
    hoped = {0: 0.1, 1: 0.2, ENSEMBLE: 0.15}
    rows = table("a", draws=(0.3, 0.4)).assign(expected=lambda rows: rows["draw"].map(hoped))
    rows["expected"] += rows["task"].map({RV: 0.0, LV: 0.5, CELL: 0.4})
    board = board_of(rows, table("b"))
    found = board.methods["a"].expectation
    assert standing(board, "a").expected == pytest.approx(0.15 + (0.25 + 0.4) / 2)
    dice, expected = [0.3, 0.4] * 3, [0.1, 0.2, 0.6, 0.7, 0.5, 0.6]
    assert found.points == 6
    assert found.correlation == pytest.approx(np.corrcoef(dice, expected)[0, 1])
    assert found.distance == pytest.approx(np.abs(np.subtract(dice, expected)).mean())
    assert (standing(board, "b").expected, board.methods["b"].expectation) == (None, None)


def test_weights_tell_methods_of_one_name_apart():
    board = board_of(
        table("net", weights="1" * 64), table("net", moved(0.1), weights="2" * 64), table("a")
    )
    assert [each.method for each in board.rankings[0].standings] == [
        "net 22222222",
        "a",
        "net 11111111",
    ]
    assert board.methods["net 22222222"].provenance[0].about.weights == "2" * 64


def test_weights_are_called_as_they_were_asked_for():
    rows = [table("net", weights="1" * 64), table("net", moved(0.1), weights="2" * 64)]
    made = [
        replace(provenance("net", one * 64), asked=f"net:{asked}")
        for one, asked in (("1", "ours-base"), ("2", "runs/first.safetensors"))
    ]
    board = leaderboard(pd.concat(rows, ignore_index=True), made, None, 200, least=1)
    assert sorted(board.methods) == ["net first", "net ours-base"]
    alike = [replace(each, asked="net:runs/best.safetensors") for each in made]
    board = leaderboard(pd.concat(rows, ignore_index=True), alike, None, 200, least=1)
    assert sorted(board.methods) == ["net 11111111", "net 22222222"]


@pytest.mark.parametrize(
    ("weights", "trained_on", "held_out", "words"),
    [
        ("", [], ["acdc/challenge2017"], "no"),
        ("w", [], ["acdc/challenge2017"], "undisclosed"),
        ("w", ["msd/liver"], ["acdc/challenge2017"], "no"),
        ("w", ["acdc/challenge2017"], ["acdc/challenge2017", "wbc/cv"], "yes: acdc/challenge2017"),
        ("w", ["wbc/jtsc"], ["wbc/cv"], "no, but other groups of wbc"),
        ("w", ["stare/ah"], ["stare/vk"], "yes: patients of stare/vk"),
        (
            "w",
            ["scd/laf-pre"],
            ["scd/laf-post", "scd/las"],
            "yes: patients of scd/laf-post; other groups of scd",
        ),
        ("w", ["cdemris/pre"], ["scd/laf-pre", "scd/las"], "yes: patients of scd/laf-pre"),
        ("w", ["scd/laf-post"], ["cdemris/post"], "yes: patients of cdemris/post"),
        ("w", ["synthetic/task-0000"], ["synthetic/task-0001"], "no"),
        ("w", ["synthetic/task-0001"], ["synthetic/task-0001"], "yes: synthetic/task-0001"),
    ],
)
def test_what_weights_have_seen_is_told(weights, trained_on, held_out, words):
    about = About("net", "a paper", weights=weights, trained_on=dict.fromkeys(trained_on, "f"))
    assert contamination(about, held_out).in_words == words


def test_what_is_held_out_counts_even_where_the_store_lacks_it():
    missing = ["scd/laf-pre/mri/axial/mid/left-atrium"]
    board = board_of(
        table("net", weights="w"), missing=missing, trained_on={"cdemris/post": "f", RV[:18]: "f"}
    )
    seen = board.methods["net"].contamination
    assert seen.seen == ("acdc/challenge2017",)
    assert seen.patients == ("scd/laf-pre",)


# The command


@pytest.fixture
def results(tmp_path):
    """A folder with results of two methods, one of them with a name to be careful with."""
    folder = tmp_path / "results"
    for name, dice in (("a", HAND), ("b|<b>[red]", moved(-0.1))):
        said = provenance(name, missing=["scd/las/mri/axial/mid/left-atrium"])
        own = folder_of(folder, "heldout", said.about)
        own.mkdir(parents=True)
        said.save(own)
        rows = table(name, dice).replace({np.nan: None}).to_dict("records")
        write_rows(rows, own / "all.parquet")
    return folder


def run(*arguments: object):
    return CliRunner().invoke(app, ["leaderboard", *map(str, arguments)])


def test_the_command_writes_the_same_figures_everywhere(results, tmp_path):
    paths = {kind: tmp_path / f"board.{kind}" for kind in ("csv", "md", "html")}
    options = [part for kind, path in paths.items() for part in (f"--{kind}", path)]
    said = run(results, *options)
    assert said.exit_code == 0, said.output
    assert "b|<b>[red]" in said.output
    assert "2 of 3 datasets" in said.output
    rows = list(csv.DictReader(io.StringIO(paths["csv"].read_text())))
    of_all = {row["method"]: row for row in rows if row["dataset"] == ALL}
    assert float(of_all["a"]["dice"]) == pytest.approx(0.65)
    assert float(of_all["b|<b>[red]"]["to_best"]) == pytest.approx(-0.1)
    assert float(of_all["b|<b>[red]"]["place"]) == 2
    assert of_all["a"]["rank"] == ""
    assert (of_all["a"]["datasets"], of_all["a"]["of_datasets"]) == ("2", "3")
    assert len(rows) == 2 * (1 + 2 + 3)
    text = paths["md"].read_text()
    first = next(line for line in text.splitlines() if "| a | 65.0 (" in line)
    assert first.startswith("| – (place 1) | a | 65.0 (")
    assert "n = 4: too few to rank" in text
    assert r"b\|\<b\>\[red\]" in text
    assert "f" * 64 in text
    parsed = json.loads(run(results, "--json").stdout)
    (ranking,) = parsed["rankings"]
    assert ranking["standings"][0]["dice"]["value"] == pytest.approx(0.65)


def test_what_was_written_stays_where_the_board_cannot_be_made(results, tmp_path):
    store = write_store(tmp_path / "store", Discs("discs")).location
    page = tmp_path / "board.html"
    page.write_text("the last one")
    said = run(results, "--html", page, "--store", store)
    assert said.exit_code == 1
    assert "--suite" in said.output
    assert page.read_text() == "the last one"
    assert [path.name for path in tmp_path.glob("*board*")] == ["board.html"]


def test_pictures_are_not_taken_from_another_store(results, tmp_path):
    store = write_store(tmp_path / "store", Discs("discs")).location
    suite = tmp_path / "mine.yaml"
    suite.write_text(
        "{id: mine, version: 1, title: Mine, resolution: 16, "
        "tasks: [discs/discs/mri/axial/mid/disc]}"
    )
    protocol = load_suite(str(suite)).protocol
    for path in results.rglob("*.parquet"):
        rows = pd.read_parquet(path).replace({np.nan: None}).assign(protocol=protocol, suite="mine")
        write_rows(rows.to_dict("records"), path)
    said = run(results, "--html", tmp_path / "b.html", "--store", store, "--suite", suite)
    assert said.exit_code == 1
    assert RV in said.output
