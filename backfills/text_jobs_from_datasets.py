"""datasets → text_jobs: every dataset of pictures becomes one captioning job, under the same id.

Only where parameter captions asks for it: the guide names the table and says nothing of its rows, and the page that
writes datasets stays in use. The captions come from the child table data; datasets and data are only read.
"""

from migrator.model import Backfill, column, constant, estimated, flagged, missing, param, sql

from ._studio import owner

FAILED = "'Error generating caption'"
ITS_DATA = "FROM data WHERE data.dataset_id = datasets.id"
IN_ORDER = "ORDER BY data.created_at, data.image_name, data.id"

backfill = Backfill(
    only_if=param("captions", bool, default=False, help="move datasets to text_jobs as well"),
    source="datasets",
    key="id",
    target="text_jobs",
    identity="id",
    columns={
        "id": column("id"),
        "user_id": owner("datasets"),
        "workflow_name": constant("character-caption"),
        "status": estimated(
            sql(
                f"""CASE WHEN EXISTS (SELECT {ITS_DATA} AND data.caption NOT IN ('', {FAILED}))
                AND NOT EXISTS (SELECT {ITS_DATA} AND data.caption = {FAILED}) THEN 'completed' ELSE 'failed' END"""
            ),
            reason="told by the captions, for a status was never recorded",
        ),
        "created_at": column("created_at"),
        "started_at": missing("the start of the work was never recorded"),
        "completed_at": missing("the end of the work was never recorded"),
        "processing_time_seconds": missing("the end of the work was never recorded"),
        "input_image_urls": flagged(
            sql(f"(SELECT array_agg(data.image_url {IN_ORDER}) {ITS_DATA} AND data.image_url <> '')"),
            when=sql(f"EXISTS (SELECT {ITS_DATA} AND data.image_url = '')"),
            reason="of some pictures the upload never came",
        ),
        "input_text": missing("captions are made from pictures alone"),
        "output_text": missing("the captions are in output_data"),
        "output_data": sql(
            f"""jsonb_build_object('name', datasets.name, 'trigger', character_trigger, 'items', coalesce((
                SELECT jsonb_agg(jsonb_build_object(
                    'name', data.image_name, 'url', data.image_url, 'caption', data.caption) {IN_ORDER})
                {ITS_DATA}), '[]'::jsonb))"""
        ),
        "parameters": column("settings"),
        "comfy_job_id": missing("datasets never recorded a prompt id"),
        "comfy_url": missing("datasets never recorded a server"),
        "error_message": sql(
            f"""(SELECT CASE
                WHEN count(*) FILTER (WHERE data.caption = {FAILED}) > 0 THEN
                    count(*) FILTER (WHERE data.caption = {FAILED}) || ' of ' || count(*) || ' captions failed'
                WHEN count(*) FILTER (WHERE data.caption NOT IN ('', {FAILED})) = 0 THEN 'no picture has a caption'
                END {ITS_DATA})"""
        ),
        "model_used": missing("datasets never recorded a model"),
        "updated_at": column("updated_at"),
    },
)
