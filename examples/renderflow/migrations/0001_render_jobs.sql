-- Render jobs. A job is queued, claimed by one worker for as long as its lease lasts, and finished by that worker.
create table render_jobs (
    id           bigint generated always as identity primary key,
    scene        text not null check (length(scene) between 1 and 200),
    frames       integer not null check (frames between 1 and 100000),
    state        text not null default 'queued' check (state in ('queued', 'rendering', 'done', 'failed')),
    worker       text check (length(worker) between 1 and 200),
    output       text check (length(output) <= 2000),
    created_at   timestamptz not null default now(),
    leased_until timestamptz,
    finished_at  timestamptz
);

-- What a claim looks for: small however many jobs have been done.
create index render_jobs_to_do on render_jobs (id) where state in ('queued', 'rendering');
