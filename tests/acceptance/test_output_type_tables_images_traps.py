"""The traps of guide 001 around style_transfers, edited_images and datasets, each by its id, and the whole fixture.

The guide's own SQL falls into each, ours does not. It stops at a prompt id that is used twice; to see what the rest of
it does, the second row of that prompt is taken away for the guide alone.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest

from migrator.demo.output_type_tables import Fate, digest, fates, planted_new
from migrator.demo.output_type_tables.fates import CAPTIONS, EDITS, STYLES, VIDEOS
from migrator.demo.output_type_tables.planted import PlantedImages
from migrator.model.errors import ConfigurationError, UsageError
from migrator.model.step import Phase, State
from migrator.workflow import use_cases
from tests.support.guide_001 import run_step_2
from tests.support.projects import back, check, execute, rows_of, silent
from tests.support.studio import again, balance_of, counted, desk_on, moved, reasons, scalar, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from migrator.workflow.desk import Desk

PLANTED = PlantedImages()
DECIDED = ("workflow: ", "audio files: ", "output type: ")


def of(workflow: str, what: str = "count(*)", where: str = "true") -> str:
    """Write a question about the images of one workflow."""
    return f"SELECT {what} FROM image_jobs WHERE workflow_name = '{workflow}' AND ({where})"


@pytest.mark.parametrize("used", [False, True])
def test_every_planted_row_is_where_it_belongs_under_its_name(
    captioned: Callable[[], str], in_use: Callable[[], str], *, used: bool
) -> None:
    """All four sources: every fate, remark, workflow and status is as many as were planted."""
    url = in_use() if used else captioned()
    wanted = fates(in_use=used, dual_written=used)
    desk = moved(url, captions="true") if used else desk_on(url, captions="true")
    assert list(wanted) == [one.name for one in desk.change.backfills]
    for name, fate in wanted.items():
        assert fate == found_of(desk, name, fate), name
    for target in ("video_jobs", "image_jobs", "text_jobs"):
        for column in ("workflow_name", "status"):
            assert told(wanted, target, column) == ours_in(url, wanted, target, column), (target, column)


def found_of(desk: Desk, name: str, wanted: Fate) -> Fate:
    """Say what became of the rows of one backfill, in the words of the generator."""
    balance = balance_of(desk, name)
    assert balance.closes
    terms = balance.terms
    return Fate(
        source=balance.source,
        target=balance.target,
        source_rows=balance.source_rows,
        moved=balance.rows("moved"),
        merged=balance.rows("merged"),
        skipped=balance.rows("skipped"),
        quarantined={one.reason: one.rows for one in terms if one.disposition == "dismissed"},
        flags={flag: number for flag, number in balance.flags.items() if not flag.startswith(DECIDED)},
        workflow=wanted.workflow,
        status=wanted.status,
    )


def told(wanted: dict[str, Fate], target: str, column: str) -> dict[str, int]:
    """Add up what was planted for one target, by workflow or status."""
    numbers: dict[str, int] = {}
    for fate in wanted.values():
        if fate.target == target:
            for word, number in (fate.workflow if column == "workflow_name" else fate.status).items():
                numbers[word] = numbers.get(word, 0) + number
    return numbers


def ours_in(url: str, wanted: dict[str, Fate], target: str, column: str) -> dict[str, int]:
    """Count what stands in a target and was moved or merged there."""
    backfills = dict(rows_of(url, "SELECT name, id FROM migrator.backfill"))
    known = " UNION ALL ".join(
        f"SELECT t1 FROM migrator.provenance_{backfills[name]}" for name, one in wanted.items() if one.target == target
    )
    return counted(url, f"SELECT {column}, count(*) FROM {target} WHERE id IN ({known}) GROUP BY 1")


def test_v_t1_images_keep_their_ids(by_guide: Callable[[], str], done: Callable[[], str]) -> None:
    """A link to an old image or edit is dead after the guide; after ours its id is the same."""
    kept = "SELECT count(*) FROM {0} JOIN image_jobs USING (id)"
    theirs, ours = by_guide(), done()
    assert [0, 0] == [scalar(theirs, kept.format(one)) for one in ("style_transfers", "edited_images")]
    assert [fates()[STYLES].moved, PLANTED.edited_images] == [
        scalar(ours, kept.format(one)) for one in ("style_transfers", "edited_images")
    ]


def test_v_t4_an_unknown_state_of_a_style_transfer_waits(
    by_guide: Callable[[], str], legacy: Callable[[], str]
) -> None:
    """The guide shows a cancelled transfer as running for ever; ours keeps it back until somebody decides."""
    theirs, ours = by_guide(), legacy()
    assert PLANTED.style_with_unknown_status == scalar(theirs, of("style-transfer", where="status = 'pending'"))
    desk = desk_on(ours)
    assert False is use_cases.apply(desk, listen=silent).proven
    assert fates()[STYLES].quarantined == reasons(desk, STYLES)
    assert 0 == scalar(ours, of("style-transfer", where="status = 'pending'"))


def test_v_t9_one_prompt_id_stays_with_its_first_row(legacy: Callable[[], str], done: Callable[[], str]) -> None:
    """A prompt id used twice, or an empty one, stops the guide; ours leaves it to the first and flags the rest."""
    theirs, ours = legacy(), done()
    assert {"style_transfers"} == set(run_step_2(theirs).failed)
    twins = (
        "SELECT s.comfyui_prompt_id IS NOT DISTINCT FROM i.comfy_job_id FROM style_transfers AS s"
        " JOIN image_jobs AS i USING (id) WHERE comfyui_prompt_id IN (SELECT comfyui_prompt_id FROM style_transfers"
        " WHERE comfyui_prompt_id <> '' GROUP BY 1 HAVING count(*) > 1) ORDER BY s.created_at, s.id"
    )
    assert [(True,), *[(False,)] * (PLANTED.style_sharing_a_prompt_id - 1)] == rows_of(ours, twins)
    without = PLANTED.style_with_empty_prompt_id + PLANTED.style_without_prompt_id
    without += PLANTED.style_sharing_a_prompt_id - 1
    assert without == scalar(ours, of("style-transfer", where="comfy_job_id IS NULL"))
    # An earlier transfer of the same prompt comes to light: it has the id now, and the two others follow.
    execute(
        ours,
        "INSERT INTO style_transfers SELECT gen_random_uuid(), created_at - interval '1 day', source_image_url,"
        " style_image_url, prompt, result_image_url, workflow_name, model_used, processing_time_seconds, user_ip,"
        " status, comfyui_prompt_id, error_message, updated_at FROM style_transfers"
        " WHERE comfyui_prompt_id <> '' AND status = 'completed' ORDER BY created_at LIMIT 1",
    )
    assert use_cases.apply(desk_on(ours), listen=silent).balances[2].closes


def test_v_t12_an_end_is_estimated_only_where_there_was_one(
    by_guide: Callable[[], str], done: Callable[[], str]
) -> None:
    """The guide ends transfers that still run; ours estimates an end only of ended ones, and says so."""
    running = of("style-transfer", where="status IN ('pending', 'processing') AND completed_at IS NOT NULL")
    theirs, ours = by_guide(), done()
    assert PLANTED.style_unfinished + PLANTED.style_with_unknown_status == scalar(theirs, running)
    desk = desk_on(ours)
    assert 0 == scalar(ours, running)
    for name, workflow in ((STYLES, "style-transfer"), (EDITS, "image-edit")):
        flagged = [number for flag, number in balance_of(desk, name).flags.items() if "completed_at estimated" in flag]
        assert flagged == [scalar(ours, of(workflow, where="completed_at IS NOT NULL"))]
    took = "completed_at = created_at + processing_time_seconds * interval '1 s'"
    assert PLANTED.edits_completed == scalar(ours, of("image-edit", where=took))


def test_v_t13_urls_nobody_can_open_are_kept_and_flagged(by_guide: Callable[[], str], done: Callable[[], str]) -> None:
    """The guide copies URLs of a browser as if they were files; ours keeps them, and says how many."""
    blobs = of("style-transfer", where="input_image_urls[1] LIKE 'blob:%' AND input_image_urls[2] LIKE 'blob:%'")
    theirs, ours = by_guide(), done()
    assert PLANTED.style_with_blob_urls == scalar(theirs, blobs)
    desk = desk_on(ours)
    assert PLANTED.style_with_blob_urls == scalar(ours, blobs)
    flags = balance_of(desk, STYLES).flags
    assert [PLANTED.style_with_blob_urls] == [number for flag, number in flags.items() if "a blob: URL" in flag]


def test_v_t14_no_server_is_invented(by_guide: Callable[[], str], done: Callable[[], str]) -> None:
    """The guide says that edits ran on a ComfyUI they never saw; ours says which service they ran on."""
    servers = of("image-edit", "array_agg(DISTINCT comfy_url)")
    theirs, ours = by_guide(), done()
    assert ["https://comfy.vapai.studio"] == scalar(theirs, servers)
    assert ["openrouter"] == scalar(ours, servers)
    # Where style transfers ran was never stored either: it is what the operator says, and may be said later.
    assert ["https://comfy.vapai.studio"] == scalar(ours, of("style-transfer", "array_agg(DISTINCT comfy_url)"))
    again(ours, comfy_url="http://comfy:8188")
    assert ["http://comfy:8188"] == scalar(ours, of("style-transfer", "array_agg(DISTINCT comfy_url)"))


def test_v_t15_an_edit_written_to_both_tables_is_one_edit(in_use: Callable[[], str]) -> None:
    """The guide doubles every edit the new application wrote as well; ours recognises them and leaves them alone."""
    doubled = of("image-edit", "count(*) - count(DISTINCT (input_image_urls, prompt))")
    theirs, ours = in_use(), in_use()
    run_step_2(theirs)
    twins = planted_new().image_jobs_dual_written
    assert twins == scalar(theirs, doubled)
    application = "SELECT i::text FROM image_jobs AS i WHERE id IN (SELECT id FROM theirs) ORDER BY id"
    execute(ours, "CREATE TABLE theirs AS SELECT id FROM image_jobs")
    before = rows_of(ours, application)
    desk = moved(ours)
    assert (0, before) == (scalar(ours, doubled), rows_of(ours, application))
    balance = balance_of(desk, EDITS)
    assert (twins, PLANTED.edited_images - twins) == (balance.rows("merged"), balance.rows("moved"))
    back(desk, to=Phase.EXPAND)
    assert before == rows_of(ours, application)
    settle(desk)
    assert twins == balance_of(desk, EDITS).rows("merged")


def test_v_t16_an_error_is_no_model(by_guide: Callable[[], str], done: Callable[[], str]) -> None:
    """The guide keeps errors as names of models; ours puts them where errors belong, whole."""
    wrong = of("image-edit", where="model_used LIKE 'Error: %'")
    theirs, ours = by_guide(), done()
    assert PLANTED.edits_failed == scalar(theirs, wrong)
    assert 0 == scalar(theirs, of("image-edit", where="error_message IS NOT NULL"))
    assert 0 == scalar(ours, wrong)
    said = "SELECT count(*) FROM image_jobs AS i JOIN edited_images AS e USING (id)"
    assert PLANTED.edits_failed == scalar(ours, f"{said} WHERE e.model_used = 'Error: ' || i.error_message")
    models = f"{said} WHERE i.model_used = e.model_used AND i.parameters = jsonb_build_object('model', e.model_used)"
    assert scalar(ours, models) == scalar(ours, of("image-edit", where="model_used IS NOT NULL")) > 0


def test_v_t17_an_old_edit_is_not_new(by_guide: Callable[[], str], done: Callable[[], str]) -> None:
    """After the guide every edit was changed today; after ours as of its creation, the last that is known."""
    old = of("image-edit", where="updated_at = created_at")
    theirs, ours = by_guide(), done()
    assert 0 == scalar(theirs, old)
    assert PLANTED.edited_images == scalar(ours, old)


def test_v_t21_nothing_is_inserted_again(in_use: Callable[[], str]) -> None:
    """A second and a third apply of the whole change find nothing to do."""
    url = in_use()
    desk = moved(url, captions="true")
    tables = ("video_jobs", "image_jobs", "text_jobs")
    with closing(psycopg.connect(url)) as conn:
        before = digest(conn, *tables)
    for _ in range(2):
        assert use_cases.apply(desk, listen=silent).nothing_done
        with closing(psycopg.connect(url)) as conn:
            assert before == digest(conn, *tables)


def test_captions_are_moved_only_where_they_are_asked_for(done: Callable[[], str]) -> None:
    """Without the parameter datasets may even be missing; with it each becomes one job with all its captions."""
    url = done()
    left_out = [one for one in use_cases.plan(desk_on(url)).notes if CAPTIONS in one]
    assert ["--param captions=true" in one for one in left_out] == [True]
    assert 0 == scalar(url, "SELECT count(*) FROM text_jobs")
    desk = again(url, captions="true")
    items = "SELECT count(*) FROM text_jobs, jsonb_array_elements(output_data -> 'items')"
    assert (PLANTED.data, PLANTED.data - PLANTED.data_without_url) == (
        scalar(url, items),
        scalar(url, "SELECT sum(cardinality(input_image_urls)) FROM text_jobs"),
    )
    assert State.COPIED is use_cases.status_facts(desk_on(url)).state  # what is proven is another change
    back(desk, to=Phase.EXPAND)
    assert 0 == scalar(url, "SELECT count(*) FROM text_jobs")
    settle(desk)
    assert PLANTED.datasets == scalar(url, "SELECT count(*) FROM text_jobs")


def test_a_database_without_datasets_is_moved_too(legacy: Callable[[], str]) -> None:
    """What a parameter leaves out is not looked for; asked for, it is missed by name."""
    url = legacy()
    execute(url, "DROP TABLE data, datasets")
    moved(url)
    with pytest.raises(ConfigurationError, match=r"M111.*datasets"):
        use_cases.plan(desk_on(url, captions="true"))


def test_what_was_moved_by_a_parameter_is_not_forgotten_without_it(captioned: Callable[[], str]) -> None:
    """A rollback that would leave rows behind unseen names the parameter that brings them back."""
    url = captioned()
    desk = desk_on(url, captions="true")
    with pytest.raises(UsageError, match=f"M130 {CAPTIONS} moved rows.*captions is not true") as refused:
        back(desk_on(url))
    assert "--param captions=true" in refused.value.cure
    assert State.NEW is back(desk).state


def test_a_caption_that_changed_is_found_though_datasets_did_not_change(captioned: Callable[[], str]) -> None:
    """What a definition reads beside its source is part of what a proof is a proof of."""
    url = captioned()
    desk = again(url, captions="true")
    execute(url, "UPDATE data SET caption = 'better' WHERE caption = 'Error generating caption'")
    scalar(url, "SELECT pg_stat_force_next_flush()")
    assert State.COPIED is use_cases.status_facts(desk).state
    assert use_cases.apply(desk, listen=silent).proven
    assert {"completed": PLANTED.datasets} == counted(url, "SELECT status, count(*) FROM text_jobs GROUP BY 1")
    assert check(desk).proven
    assert 0 == balance_of(desk, VIDEOS).unaccounted


DAMAGE = """
UPDATE video_jobs SET output_video_urls = ARRAY[NULL]::text[]
    WHERE comfy_job_id = (SELECT min(comfy_job_id) FROM video_jobs);
UPDATE image_jobs SET input_image_urls = ARRAY[''] WHERE workflow_name = 'image-edit';
UPDATE text_jobs SET input_image_urls = ARRAY[''];
UPDATE video_jobs SET comfyui_output_filename = 'img2img_1_.png', processing_time_seconds = -1
    WHERE comfy_job_id = (SELECT min(comfy_job_id) FROM video_jobs);
UPDATE image_jobs SET comfy_job_id = (SELECT min(comfy_job_id) FROM video_jobs)
    WHERE comfy_job_id = (SELECT min(comfy_job_id) FROM image_jobs WHERE workflow_name = 'img2img');
UPDATE image_jobs SET comfy_job_id = '' WHERE comfy_job_id = (SELECT max(comfy_job_id) FROM image_jobs);
UPDATE video_jobs SET output_video_urls = NULL WHERE comfy_job_id > (SELECT min(comfy_job_id) FROM video_jobs);
UPDATE image_jobs SET output_image_urls = NULL;
ALTER TABLE text_jobs DISABLE ROW LEVEL SECURITY;
DROP POLICY video_jobs_delete_own ON video_jobs;
"""


def test_every_check_of_the_change_sees_what_it_is_for(captioned: Callable[[], str]) -> None:
    """The invariants hold after the change, and not one of them holds once each was broken on purpose."""
    url = captioned()
    desk = desk_on(url, captions="true")
    names = {f"check: {one}" for one in desk.change.checks} | {
        f"index check: {one}" for one in desk.change.index_checks
    }
    assert {True} == {one.proven for one in check(desk).verdicts if one.claim in names}
    execute(url, DAMAGE)
    for table in ("video_jobs", "image_jobs", "text_jobs"):
        execute(url, f"ALTER TABLE {table} DROP CONSTRAINT {table}_comfy_job_id_key")
    for (index,) in rows_of(url, "SELECT indexname FROM pg_indexes WHERE indexname ~ '^idx_(video|image|text)_jobs_'"):
        execute(url, f"DROP INDEX {index}")
    found = {one.claim: one.proven for one in check(desk).verdicts if one.claim in names}
    assert dict.fromkeys(names, False) == found
