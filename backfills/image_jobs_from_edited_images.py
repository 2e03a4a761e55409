"""edited_images → image_jobs: every edit of the old page becomes an image job, under the same id.

For a while the page wrote both tables, milliseconds apart. Such an edit is recognised by its source picture, whose
name is unique, and its prompt; the application's row is left as it is.
"""

from migrator.model import Backfill, array, column, constant, estimated, flagged, missing, sql

from ._studio import error_message, given_up, owner_by_address, status, stored, told_of_signed

STALE = given_up("edited_images", "created_at", "pending", "processing")

# There was no column for errors, so the page wrote them where the model belongs.
IS_ERROR = sql("coalesce(model_used LIKE 'Error: %', false)")
ERROR = sql("CASE WHEN {is_error} THEN substr(model_used, length('Error: ') + 1) END", is_error=IS_ERROR)
MODEL = sql("CASE WHEN NOT {is_error} THEN model_used END", is_error=IS_ERROR)

backfill = Backfill(
    source="edited_images",
    key="id",
    target="image_jobs",
    identity="id",
    merge=("input_image_urls", "prompt"),
    columns={
        "id": column("id"),
        "user_id": owner_by_address("edited_images"),
        "workflow_name": constant("image-edit"),
        "status": status(
            {"pending": "pending", "processing": "processing", "completed": "completed", "failed": "failed"},
            STALE,
            failed="failed",
        ),
        "created_at": column("created_at"),
        "started_at": missing("the start of the work was never recorded"),
        "completed_at": estimated(
            sql("created_at + make_interval(secs => processing_time_seconds)"),
            reason="the beginning and the time it took",
        ),
        "processing_time_seconds": column("processing_time_seconds"),
        "input_image_urls": told_of_signed(array(stored("source_image_url")), "source_image_url"),
        "prompt": column("prompt"),
        "output_image_urls": told_of_signed(array(stored("result_image_url")), "result_image_url"),
        "width": missing("edited_images never recorded a size"),
        "height": missing("edited_images never recorded a size"),
        "parameters": sql(
            "CASE WHEN {model} IS NULL THEN jsonb_build_object() ELSE jsonb_build_object('model', {model}) END",
            model=MODEL,
        ),
        "comfy_job_id": missing("edits never ran on ComfyUI"),
        "comfy_url": constant("openrouter"),
        "comfyui_output_filename": missing("edits never ran on ComfyUI"),
        "comfyui_output_subfolder": missing("edits never ran on ComfyUI"),
        "comfyui_output_type": missing("edits never ran on ComfyUI"),
        "error_message": flagged(
            error_message(ERROR, STALE), when=IS_ERROR, reason="the error stood where the model belongs"
        ),
        "model_used": MODEL,
        "user_ip": column("user_ip"),
        "updated_at": column("created_at"),
    },
    left_behind={"workflow_name": "every row is an edit; the new page says so itself"},
)
