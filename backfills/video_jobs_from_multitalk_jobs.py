"""multitalk_jobs → video_jobs: every video job of the old table becomes one video job."""

from migrator.model import (
    Backfill,
    array,
    column,
    constant,
    derived_uuid,
    elsewhere,
    missing,
    rule,
    rules,
    sql,
)

from ._multitalk import (
    COMPLETED,
    ERROR_MESSAGE,
    INPUT_IS_VIDEO,
    LEFT_BEHIND,
    MASKS,
    OUTPUT_URLS,
    PROCESSING_TIME,
    STATUS,
    SUBMITTED,
    USER,
    WORKFLOW,
    output_begins,
)

AUDIO_FILES = rules(
    "audio files",
    rule(
        "several persons, several files",
        when=WORKFLOW.equals("lipsync-multi"),
        value=array("audio_filename", when=~MASKS, split=","),
    ),
    otherwise=array("audio_filename", when=~MASKS),
)

OUTPUT_TYPE = rules(
    "output type",
    rule(
        "ComfyUI keeps it among its temporary files",
        when=sql(output_begins("wani2v|WanI2V|WanVideo2_1_InfiniteTalk")),
        value="temp",
    ),
    otherwise=constant("output"),
)

backfill = Backfill(
    source="multitalk_jobs",
    key="job_id",
    target="video_jobs",
    identity="id",
    merge="comfy_job_id",
    skip={
        "img2img is an image job": elsewhere(WORKFLOW.equals("img2img"), "image_jobs_from_multitalk_jobs"),
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
        "input_image_urls": array("image_filename", when=~INPUT_IS_VIDEO),
        "input_audio_urls": AUDIO_FILES,
        "input_video_urls": array("image_filename", when=INPUT_IS_VIDEO),
        "output_video_urls": OUTPUT_URLS,
        "width": column("width"),
        "height": column("height"),
        "fps": missing("the frame rate was never recorded"),
        "duration_seconds": missing("the length of the video was never recorded"),
        "parameters": sql(
            """jsonb_build_object('trim_to_audio', trim_to_audio)
            || CASE WHEN audio_filename = 'multiple_masks_audio'
               THEN jsonb_build_object('masks', true) ELSE jsonb_build_object() END"""
        ),
        "comfy_job_id": column("job_id"),
        "comfy_url": column("comfy_url"),
        "comfyui_output_filename": column("filename"),
        "comfyui_output_subfolder": column("subfolder"),
        "comfyui_output_type": OUTPUT_TYPE,
        "error_message": ERROR_MESSAGE,
        "updated_at": column("updated_at"),
    },
    left_behind=LEFT_BEHIND,
)
