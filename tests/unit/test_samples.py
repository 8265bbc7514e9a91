"""What `make test` leaves to `make test-all` has its like in `make test`: each fault and each step."""

from __future__ import annotations

from argorun.events import Step
from tests.chaos import plans, test_chaos
from tests.chaos.plans import Deed, Kind
from tests.faults.cells import CELLS, FAULTS, KAFKA_FAULTS, KAFKA_PLACES, PLACES, SAMPLE, sample
from tests.faults.test_table import TABLE
from tests.processes import FIRST, PARTS, SHARED, group

SAMPLED = [CELLS[name] for name in SAMPLE]


def test_the_sample_of_the_table_has_each_request_and_each_step_that_makes_one() -> None:
    assert {cell.place.name for cell in SAMPLED} == {place.name for place in (*PLACES, *KAFKA_PLACES)}
    assert {cell.place.step for cell in SAMPLED} == {cell.place.step for cell in CELLS.values()}


def test_the_sample_of_the_table_has_each_fault_of_argo_cd_and_each_of_kafka() -> None:
    assert {cell.fault for cell in SAMPLED if cell.place in PLACES} == FAULTS.keys()
    assert {cell.fault for cell in SAMPLED if cell.place in KAFKA_PLACES} == KAFKA_FAULTS.keys()


def test_the_sample_and_the_rest_are_the_whole_table_and_no_cell_is_in_both() -> None:
    full = {param.id for param in TABLE if [mark.name for mark in param.marks] == ["full"]}
    unmarked = {param.id for param in TABLE if not param.marks}
    assert (unmarked, full | unmarked, full & unmarked) == (SAMPLE, CELLS.keys(), set())
    assert [param.id for param in TABLE] == list(CELLS)


def test_the_sample_of_the_table_is_a_small_part_of_it() -> None:
    assert {cell.name for cell in sample(CELLS.values())} == SAMPLE
    assert len(SAMPLE) < len(CELLS) / 5


def test_a_run_is_ended_in_each_of_its_steps() -> None:
    (ended,) = (
        mark
        for mark in test_chaos.test_a_run_that_is_ended_in_a_step_leaves_nothing.pytestmark
        if mark.name == "parametrize"
    )
    assert [step for step, _ in ended.args[1]] == list(Step)


def test_everything_that_may_befall_a_run_befalls_one_by_itself() -> None:
    sampled = list(plans.sample())
    broken = [b for plan in sampled for b in plan.broken]
    kafka = [k for plan in sampled for k in plan.kafka]
    assert {b.kind for b in broken} == set(Kind)
    assert {b.how for b in broken} == set(plans.HOWS)
    assert {act for act, _ in kafka} == set(plans.ACTS)
    assert {fault for _, fault in kafka} == set(plans.FAULTS)
    assert {s.deed for plan in sampled for s in plan.strikes} == set(Deed)
    assert {plan.tests for plan in sampled} == set(plans.Tests)
    for name in ("dead_record", "rival", "hasty"):
        assert any(getattr(plan, name) for plan in sampled)


def test_what_shares_servers_stays_in_one_process_and_all_else_goes_where_there_is_room() -> None:
    table = [group(f"tests/faults/test_table.py::test_a_fault_in_a_step[{name}]") for name in CELLS]
    assert len(set(table)) == PARTS
    assert all(table.count(part) > len(CELLS) / PARTS / 1.5 for part in table)
    chaos = {group(f"tests/chaos/test_outputs.py::test_{n}[plain]") for n in range(9)}
    assert len(chaos) == 1
    unit = [f"tests/unit/test_cli.py::test_{n}[a::b]" for n in range(9)]
    assert [group(nodeid) for nodeid in unit] == unit


def test_what_begins_first_is_something_that_there_is() -> None:
    parts = {group(f"tests/faults/test_table.py::{name}") for name in CELLS}
    assert set(FIRST) - parts <= set(SHARED.values())
