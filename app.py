"""Wiring only: the schedule, the S3 events and the routes of the lake; each delegates.

Reads three settings when imported, because Chalice needs them to deploy (it sets a stage's environment variables
before it imports this): EXTRACT_SCHEDULE, LAKE_URL for the bucket, CORS_ORIGIN.
"""

import os
from collections.abc import Callable
from typing import Any

from chalice.app import AuthRequest, AuthResponse, Chalice, CloudWatchEvent, CORSConfig, Request, Response, S3Event

from chalicelib import functions, handlers
from chalicelib.rest import gateway
from chalicelib.schedule import at_most_daily
from chalicelib.settings import bucket_and_prefix
from chalicelib.wiring import Parts

SCHEDULE = os.environ.get("EXTRACT_SCHEDULE") or "rate(1 hour)"
BUCKET, PREFIX = bucket_and_prefix(os.environ.get("LAKE_URL", ""))
CORS_ORIGIN = os.environ.get("CORS_ORIGIN", "")
EXPOSED = ["ETag", "Link", "Location", "Retry-After", "X-Next-Page-Token", "X-Request-Id", "X-Truncated"]
ANY = ["*/*"]  # the API says itself which content types it takes

app = Chalice(app_name="spotify-lake", configure_logs=False)
app.api.binary_types = []  # all text; downloads and uploads go to S3 itself
app.api.cors = CORSConfig(CORS_ORIGIN, expose_headers=EXPOSED, max_age=600) if CORS_ORIGIN else False
parts = Parts()
functions.begin(parts)


def answer(**path: str) -> Response:
    return gateway.answer(parts, app.current_request, path)


@app.middleware("http")
def one_error_shape(request: Request, get_response: Callable[[Request], Response]) -> Response:
    return gateway.one_error_shape(get_response(request))


# --- events -------------------------------------------------------------------------------------------------------


@app.schedule(SCHEDULE, description="Extract what is due from Spotify")
def scheduled_extraction(event: CloudWatchEvent) -> dict[str, Any]:
    return handlers.extract(parts, "schedule", event.context)


@app.lambda_function()
def run_extraction(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return handlers.extract(parts, "api", context, event)


@app.on_s3_event(bucket=BUCKET or handlers.LOCAL_BUCKET, prefix=f"{PREFIX}raw/spotify/", suffix=".gz")
def transform(event: S3Event) -> dict[str, Any]:
    return handlers.transform(parts, event.key, event.to_dict().get("generation"))


@app.on_s3_event(bucket=BUCKET or handlers.LOCAL_BUCKET, prefix=f"{PREFIX}raw/runs/", suffix=".json")
def transform_run(event: S3Event) -> dict[str, Any]:
    return handlers.transform(parts, event.key)


@app.on_s3_event(bucket=BUCKET or handlers.LOCAL_BUCKET, prefix=f"{PREFIX}raw/history/")
def import_history(event: S3Event) -> dict[str, Any]:
    return handlers.import_history(parts, event.key)


@app.schedule(
    at_most_daily(SCHEDULE), description="Drive what was left lying, merge small files, refresh the catalogue"
)
def maintain(_: CloudWatchEvent) -> dict[str, Any]:
    return handlers.maintain(parts)


@app.lambda_function()
def result_file(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    return handlers.result_file(parts, event)


# --- the page and the service -------------------------------------------------------------------------------------


@app.authorizer(ttl_seconds=60)
def bearer(request: AuthRequest) -> AuthResponse:
    return gateway.authorize(parts, request)


@app.route("/", content_types=ANY)
def dashboard() -> Response:
    return answer()


@app.route("/static/{name}", content_types=ANY)
def asset(name: str) -> Response:
    return answer(name=name)


@app.route("/static/{name}/{below}", content_types=ANY)
def asset_below(name: str, below: str) -> Response:
    return answer(name=name, below=below)


@app.route("/health", content_types=ANY)
def health() -> Response:
    return answer()


@app.route("/openapi.json", content_types=ANY)
def openapi() -> Response:
    return answer()


@app.route("/session", methods=["POST"], content_types=ANY)
def sign_in() -> Response:
    return answer()


@app.route("/session", methods=["GET"], authorizer=bearer, content_types=ANY)
def signed_in() -> Response:
    return answer()


@app.route("/session", methods=["PUT"], authorizer=bearer, content_types=ANY)
def stay_signed_in() -> Response:
    return answer()


@app.route("/session", methods=["DELETE"], authorizer=bearer, content_types=ANY)
def sign_out() -> Response:
    return answer()


# --- runs ---------------------------------------------------------------------------------------------------------


@app.route("/runs", methods=["POST"], authorizer=bearer, content_types=ANY)
def start_run() -> Response:
    return answer()


@app.route("/runs", authorizer=bearer, content_types=ANY)
def list_runs() -> Response:
    return answer()


@app.route("/runs/{run_id}", authorizer=bearer, content_types=ANY)
def get_run(run_id: str) -> Response:
    return answer(run_id=run_id)


@app.route("/quarantine", authorizer=bearer, content_types=ANY)
def list_quarantine() -> Response:
    return answer()


# --- catalogue ----------------------------------------------------------------------------------------------------


@app.route("/crawls", methods=["POST"], authorizer=bearer, content_types=ANY)
def start_crawl() -> Response:
    return answer()


@app.route("/crawls/latest", authorizer=bearer, content_types=ANY)
def latest_crawl() -> Response:
    return answer()


@app.route("/tables", authorizer=bearer, content_types=ANY)
def list_tables() -> Response:
    return answer()


@app.route("/tables/{name}", authorizer=bearer, content_types=ANY)
def get_table(name: str) -> Response:
    return answer(name=name)


# --- queries ------------------------------------------------------------------------------------------------------


@app.route("/queries", methods=["POST"], authorizer=bearer, content_types=ANY)
def start_query() -> Response:
    return answer()


@app.route("/queries", authorizer=bearer, content_types=ANY)
def list_queries() -> Response:
    return answer()


@app.route("/sql", authorizer=bearer, content_types=ANY)
def sql() -> Response:
    return answer()


@app.route("/sql.csv", authorizer=bearer, content_types=ANY)
def sql_csv() -> Response:
    return answer()


@app.route("/sql.json", authorizer=bearer, content_types=ANY)
def sql_json() -> Response:
    return answer()


@app.route("/sql.parquet", authorizer=bearer, content_types=ANY)
def sql_parquet() -> Response:
    return answer()


@app.route("/queries/{query_id}", authorizer=bearer, content_types=ANY)
def get_query(query_id: str) -> Response:
    return answer(query_id=query_id)


@app.route("/queries/{query_id}", methods=["DELETE"], authorizer=bearer, content_types=ANY)
def cancel_query(query_id: str) -> Response:
    return answer(query_id=query_id)


@app.route("/queries/{query_id}/rows", authorizer=bearer, content_types=ANY)
def query_rows(query_id: str) -> Response:
    return answer(query_id=query_id)


@app.route("/queries/{query_id}/download", authorizer=bearer, content_types=ANY)
def download(query_id: str) -> Response:
    return answer(query_id=query_id)


@app.route("/mcp", methods=["POST"], authorizer=bearer, content_types=ANY)
def assistant() -> Response:
    return answer()


# --- reports ------------------------------------------------------------------------------------------------------


@app.route("/reports", authorizer=bearer, content_types=ANY)
def list_reports() -> Response:
    return answer()


@app.route("/reports/{name}", authorizer=bearer, content_types=ANY)
def run_report(name: str) -> Response:
    return answer(name=name)


@app.route("/reports/{name}", methods=["PUT"], authorizer=bearer, content_types=ANY)
def save_report(name: str) -> Response:
    return answer(name=name)


@app.route("/reports/{name}", methods=["DELETE"], authorizer=bearer, content_types=ANY)
def delete_report(name: str) -> Response:
    return answer(name=name)


# --- listeners ----------------------------------------------------------------------------------------------------


@app.route("/listeners", authorizer=bearer, content_types=ANY)
def list_listeners() -> Response:
    return answer()


@app.route("/listeners", methods=["PUT"], authorizer=bearer, content_types=ANY)
def rename_listener() -> Response:
    return answer()


@app.route("/merges", methods=["POST"], authorizer=bearer, content_types=ANY)
def merge_listeners() -> Response:
    return answer()


@app.route("/merges", methods=["DELETE"], authorizer=bearer, content_types=ANY)
def split_listener() -> Response:
    return answer()


@app.route("/invitations", methods=["POST"], authorizer=bearer, content_types=ANY)
def invite() -> Response:
    return answer()


@app.route("/invitations", authorizer=bearer, content_types=ANY)
def list_invitations() -> Response:
    return answer()


@app.route("/invitations/{invitation_id}", methods=["DELETE"], authorizer=bearer, content_types=ANY)
def withdraw_invitation(invitation_id: str) -> Response:
    return answer(invitation_id=invitation_id)


@app.route("/join", content_types=ANY)
def join() -> Response:
    return answer()


@app.route("/callback", content_types=ANY)
def spotify_callback() -> Response:
    return answer()


@app.route("/shares", methods=["POST"], authorizer=bearer, content_types=ANY)
def share() -> Response:
    return answer()


@app.route("/shares", authorizer=bearer, content_types=ANY)
def list_shares() -> Response:
    return answer()


@app.route("/shares/{token_id}", methods=["DELETE"], authorizer=bearer, content_types=ANY)
def revoke_share(token_id: str) -> Response:
    return answer(token_id=token_id)


# --- pictures -----------------------------------------------------------------------------------------------------


@app.route("/images", authorizer=bearer, content_types=ANY)
def list_images() -> Response:
    return answer()


@app.route("/images/{name}", authorizer=bearer, content_types=ANY)
def image(name: str) -> Response:
    return answer(name=name)


# --- what is left out ---------------------------------------------------------------------------------------------


@app.route("/exclusions", authorizer=bearer, content_types=ANY)
def list_exclusions() -> Response:
    return answer()


@app.route("/exclusions", methods=["POST"], authorizer=bearer, content_types=ANY)
def leave_out() -> Response:
    return answer()


@app.route("/exclusions/{exclusion_id}", methods=["DELETE"], authorizer=bearer, content_types=ANY)
def take_back(exclusion_id: str) -> Response:
    return answer(exclusion_id=exclusion_id)


# --- imports ------------------------------------------------------------------------------------------------------


@app.route("/imports", methods=["POST"], authorizer=bearer, content_types=ANY)
def start_import() -> Response:
    return answer()


@app.route("/imports/{import_id}", authorizer=bearer, content_types=ANY)
def get_import(import_id: str) -> Response:
    return answer(import_id=import_id)


@app.route("/imports/{import_id}", methods=["PUT"], authorizer=bearer, content_types=ANY)
def upload_import(import_id: str) -> Response:
    return answer(import_id=import_id)
