--
-- PostgreSQL database dump
--

\restrict 8Xk3Uvi6BIVnqpbGDgbMesmVTra5PlaWZwn1u6sSgabUftt3ebSwALlj3fLKt2o

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 18.6 (Debian 18.6-3)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: participant; Type: SCHEMA; Schema: -; Owner: seed
--

CREATE SCHEMA participant;


ALTER SCHEMA participant OWNER TO seed;

--
-- Name: validator; Type: SCHEMA; Schema: -; Owner: seed
--

CREATE SCHEMA validator;


ALTER SCHEMA validator OWNER TO seed;

--
-- Name: f(); Type: FUNCTION; Schema: validator; Owner: seed
--

CREATE FUNCTION validator.f() RETURNS integer
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT
         CASE
             WHEN true THEN 1
             ELSE NULL::integer
         END AS "case";
END;


ALTER FUNCTION validator.f() OWNER TO seed;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: common_node_id; Type: TABLE; Schema: participant; Owner: seed
--

CREATE TABLE participant.common_node_id (
    identifier text NOT NULL,
    namespace text NOT NULL
);


ALTER TABLE participant.common_node_id OWNER TO seed;

--
-- Name: lapi_parameters; Type: TABLE; Schema: participant; Owner: seed
--

CREATE TABLE participant.lapi_parameters (
    participant_id text,
    ledger_end bigint,
    participant_pruned_up_to_inclusive bigint
);


ALTER TABLE participant.lapi_parameters OWNER TO seed;

--
-- Name: Odd one; Type: TABLE; Schema: validator; Owner: seed
--

CREATE TABLE validator."Odd one" (
    "a,b" text,
    c bytea,
    d integer GENERATED ALWAYS AS (1) STORED
);


ALTER TABLE validator."Odd one" OWNER TO seed;

--
-- Name: store_descriptors; Type: TABLE; Schema: validator; Owner: seed
--

CREATE TABLE validator.store_descriptors (
    id integer,
    descriptor jsonb
);


ALTER TABLE validator.store_descriptors OWNER TO seed;

--
-- Name: store_last_ingested_offsets; Type: TABLE; Schema: validator; Owner: seed
--

CREATE TABLE validator.store_last_ingested_offsets (
    store_id integer,
    migration_id bigint,
    last_ingested_offset text
);


ALTER TABLE validator.store_last_ingested_offsets OWNER TO seed;

--
-- Data for Name: common_node_id; Type: TABLE DATA; Schema: participant; Owner: seed
--

INSERT INTO participant.common_node_id VALUES ('somebody', '1220aa');


--
-- Data for Name: lapi_parameters; Type: TABLE DATA; Schema: participant; Owner: seed
--

INSERT INTO participant.lapi_parameters VALUES ('somebody::1220aa', 66, NULL);


--
-- Data for Name: Odd one; Type: TABLE DATA; Schema: validator; Owner: seed
--

INSERT INTO validator."Odd one" VALUES ('tab	, newline
, backslash \ and ''quote''', '\xdeadbeef', DEFAULT);


--
-- Data for Name: store_descriptors; Type: TABLE DATA; Schema: validator; Owner: seed
--

INSERT INTO validator.store_descriptors VALUES (1, '{"name": "DbValidatorStore", "party": "somebody::1220aa", "version": 2, "participant": "PAR::somebody::1220aa"}');


--
-- Data for Name: store_last_ingested_offsets; Type: TABLE DATA; Schema: validator; Owner: seed
--

INSERT INTO validator.store_last_ingested_offsets VALUES (1, 0, '000000000000000042');


--
-- PostgreSQL database dump complete
--

\unrestrict 8Xk3Uvi6BIVnqpbGDgbMesmVTra5PlaWZwn1u6sSgabUftt3ebSwALlj3fLKt2o

