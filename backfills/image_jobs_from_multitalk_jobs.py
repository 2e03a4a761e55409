"""multitalk_jobs → image_jobs: the img2img jobs of the old table become image jobs."""

from migrator.model import (
    Backfill,
    array,
    column,
    constant,
    derived_uuid,
    elsewhere,
    missing,
    sql,
)

from ._multitalk import (
    COMPLETED,
    ERROR_MESSAGE,
    LEFT_BEHIND,
    OUTPUT_URLS,
    PROCESSING_TIME,
    STATUS,
    SUBMITTED,
    USER,
    WORKFLOW,
)

backfill = Backfill(
    source="multitalk_jobs",
    key="job_id",
    target="image_jobs",
    identity="id",
    merge="comfy_job_id",
    skip={
        "every other workflow is a video job": elsewhere(~WORKFLOW.equals("img2img"), "video_jobs_from_multitalk_jobs"),
    },
    columns={
        "id": derived_uuid(),
        "user_id": USER,
        "workflow_name": WORKFLOW,
        "status": STATUS,
        "created_at": SUBMITTED,
        "started_at": missing("the start of the work was never recorded"),
        "completed_at": COMPLETED,
        "processing_time_seconds": PROCESSING_TIME,
        "input_image_urls": array("image_filename"),
        "prompt": missing("the img2img page never stored its prompt"),
        "output_image_urls": OUTPUT_URLS,
        "width": column("width"),
        "height": column("height"),
        # An image job has no place for sound: what a row has nevertheless stays with it.
        "parameters": sql(
            """jsonb_build_object('trim_to_audio', trim_to_audio)
            || CASE WHEN audio_filename <> ''
               THEN jsonb_build_object('audio_filename', audio_filename)
               ELSE jsonb_build_object() END"""
        ),
        "comfy_job_id": column("job_id"),
        "comfy_url": column("comfy_url"),
        "comfyui_output_filename": column("filename"),
        "comfyui_output_subfolder": column("subfolder"),
        "comfyui_output_type": constant("output"),
        "error_message": ERROR_MESSAGE,
        "model_used": missing("multitalk_jobs never recorded a model"),
        "user_ip": missing("multitalk_jobs never recorded an address"),
        "updated_at": column("updated_at"),
    },
    left_behind=LEFT_BEHIND,
)
