-- What the knowledge base keeps. The dimension of the vectors is the server's setting
-- aistack.embedding_size (services.aiStack.postgres.embeddingSize) at this moment; a
-- table that exists keeps the one it has.

CREATE TABLE imported_documents (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project       text        NOT NULL,
    relative_path text        NOT NULL,
    title         text,
    content_type  text,
    checksum      text,
    size_bytes    bigint,
    modified_at   timestamptz,
    imported_at   timestamptz NOT NULL DEFAULT now(),
    content       text,
    status        text        NOT NULL DEFAULT 'approved',
    UNIQUE (project, relative_path)
);

DO $$
BEGIN
    EXECUTE format(
        'CREATE TABLE document_embeddings (
            id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            document_id bigint NOT NULL REFERENCES imported_documents (id) ON DELETE CASCADE,
            chunk_id    integer NOT NULL DEFAULT 0,
            content     text NOT NULL,
            embedding   vector(%s),
            metadata    jsonb NOT NULL DEFAULT ''{}'',
            score       real,
            created_at  timestamptz NOT NULL DEFAULT now(),
            updated_at  timestamptz NOT NULL DEFAULT now(),
            UNIQUE (document_id, chunk_id)
        )',
        coalesce(nullif(current_setting('aistack.embedding_size', true), ''), '384')::integer
    );
END
$$;

CREATE INDEX document_embeddings_embedding_hnsw
    ON document_embeddings USING hnsw (embedding vector_cosine_ops)
    WITH (m = 16, ef_construction = 64);

CREATE TABLE tool_registry (
    name                 text PRIMARY KEY,
    description          text,
    manifest             jsonb   NOT NULL DEFAULT '{}',
    cost_estimate_tokens integer NOT NULL DEFAULT 2000
);

CREATE TABLE open_skills (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug        text        NOT NULL UNIQUE,
    name        text        NOT NULL,
    description text,
    version     text,
    tags        text[]      NOT NULL DEFAULT '{}',
    content     text,
    metadata    jsonb       NOT NULL DEFAULT '{}',
    source_path text,
    source_url  text,
    managed_by  text        NOT NULL DEFAULT 'local',
    updated_at  timestamptz NOT NULL DEFAULT now(),
    status      text        NOT NULL DEFAULT 'approved'
);

CREATE TABLE system_registry (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    resource_type   text        NOT NULL,
    name            text        NOT NULL,
    version         text,
    description     text,
    location        text,
    install_command text,
    dependencies    jsonb       NOT NULL DEFAULT '[]',
    added_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (resource_type, name)
);

CREATE TABLE points_of_interest (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text        NOT NULL,
    category    text        NOT NULL,
    url         text,
    description text,
    source      text,
    ingested_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (name, category)
);

CREATE TABLE telemetry_events (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source           text        NOT NULL,
    event_type       text        NOT NULL,
    llm_used         text,
    tokens_saved     integer,
    rag_hits         integer,
    collections_used text[],
    model            text,
    latency_ms       integer,
    cache_hit        boolean,
    metadata         jsonb       NOT NULL DEFAULT '{}',
    created_at       timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX telemetry_events_created_at ON telemetry_events (created_at);
