"""style_transfers → image_jobs: every style transfer of the old page becomes an image job, under the same id."""

from migrator.model import (
    Backfill,
    array,
    column,
    constant,
    discarded,
    estimated,
    flagged,
    given,
    missing,
    param,
    sql,
)

from ._studio import error_message, given_up, owner_by_address, status, stored, told_of_signed

COMFY_URL = param("comfy_url", default="https://comfy.vapai.studio", help="the ComfyUI server of all style transfers")

STALE = given_up("style_transfers", "created_at", "pending", "processing")

# Asked once for each statement: the rows that share their prompt id with one that was made before them.
SECOND_OF_ITS_PROMPT = sql(
    """style_transfers.id IN (SELECT twin.id FROM (
        SELECT named.id, row_number() OVER (
            PARTITION BY named.comfyui_prompt_id COLLATE "C" ORDER BY named.created_at, named.id) AS place
        FROM style_transfers AS named WHERE named.comfyui_prompt_id <> '') AS twin WHERE twin.place > 1)"""
)

INPUT_URLS = flagged(
    told_of_signed(
        array(stored("source_image_url"), stored("style_image_url")),
        "source_image_url",
        "style_image_url",
    ),
    when=sql("source_image_url LIKE 'blob:%' OR style_image_url LIKE 'blob:%'"),
    reason="a blob: URL, which only the browser that made it could open",
)

OUTPUT_URLS = flagged(
    told_of_signed(array(stored("result_image_url")), "result_image_url"),
    when=sql("result_image_url LIKE 'blob:%' OR result_image_url LIKE '%/view?filename=%'"),
    reason="a link to the ComfyUI server or a browser, which do not keep files",
)

backfill = Backfill(
    source="style_transfers",
    key="id",
    target="image_jobs",
    identity="id",
    merge="comfy_job_id",
    columns={
        "id": column("id"),
        "user_id": owner_by_address("style_transfers"),
        "workflow_name": constant("style-transfer"),
        "status": status(
            {"pending": "pending", "processing": "processing", "completed": "completed", "failed": "failed"},
            STALE,
            failed="failed",
        ),
        "created_at": column("created_at"),
        "started_at": missing("the start of the work was never recorded"),
        "completed_at": estimated(
            sql("CASE WHEN status IN ('completed', 'failed') THEN updated_at END"),
            reason="the last change of the row, for the end of the work was never recorded",
        ),
        "processing_time_seconds": column("processing_time_seconds"),
        "input_image_urls": INPUT_URLS,
        "prompt": column("prompt"),
        "output_image_urls": OUTPUT_URLS,
        "width": missing("style_transfers never recorded a size"),
        "height": missing("style_transfers never recorded a size"),
        "parameters": sql(
            """CASE WHEN workflow_name <> 'StyleTransfer'
            THEN jsonb_build_object('legacy_workflow_name', workflow_name) ELSE jsonb_build_object() END"""
        ),
        "comfy_job_id": discarded(
            sql("NULLIF(comfyui_prompt_id, '')"),
            when=SECOND_OF_ITS_PROMPT,
            reason="an earlier style transfer has this prompt id",
        ),
        "comfy_url": given(COMFY_URL),
        "comfyui_output_filename": missing("style_transfers never recorded a file"),
        "comfyui_output_subfolder": missing("style_transfers never recorded a file"),
        "comfyui_output_type": missing("style_transfers never recorded a file"),
        "error_message": error_message("error_message", STALE),
        "model_used": column("model_used"),
        "user_ip": column("user_ip"),
        "updated_at": column("updated_at"),
    },
)
