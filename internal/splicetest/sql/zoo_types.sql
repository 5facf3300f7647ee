-- One table for every type of pg_catalog that a column can have, with values
-- from both ends of it: zoo_types."type NAME"(id, v, a). Row 0 is NULL; a holds
-- arrays, one of them with two dimensions and bounds of its own. Types that
-- nothing can be read into have the NULL row alone.

create schema zoo_types;
set search_path = pg_catalog;
set timezone = 'UTC';
set xmloption = content;

do $types$
declare
  kind record;
  n integer;
  value text;
  since constant integer := current_setting('server_version_num')::integer;
  literals constant jsonb := jsonb_build_object(
    'bool', array['t', 'f'],
    'bytea', array['', '\x00', '\x5c2e0a', '\x00ff0a0d5c0922'],
    'char', array['', 'a', '\', ' ', '"'],
    'name', array['', 'a name', 'NULL', repeat('n', 63), repeat('é', 31)],
    'int8', array['0', '-9223372036854775808', '9223372036854775807'],
    'int4', array['0', '-2147483648', '2147483647'],
    'int2', array['0', '-32768', '32767'],
    'int2vector', array['', '1 2 3', '-32768 32767'],
    'oidvector', array['', '1 4294967295'],
    'text', array['', ' ', '\N', '\.', 'NULL', E'tab\there', E'line\nfeed', E'carriage\r\nreturn', E'back\\slash \\\\ \\n', E'\b\f\v\x01\x7f', '"quoted", ''both''',
                  'Grüße, Übung, naïve', '日本語 العربية', '👩‍🚀🇨🇭', U&'e\0301 \FEFF \200D', '{1,2}', '{"a": 1}', repeat('x', 3000)],
    'oid', array['0', '4294967295'],
    'tid', array['(0,0)', '(4294967295,65535)'],
    'xid', array['0', '4294967295'],
    'cid', array['0', '4294967295'],
    'xid8', array['0', '18446744073709551615'],
    'json', array['null', '{ "a" : 1, "a": 2 , "z":[ ]}', '"\u00e9\n"', '1e400', '[[],{},"",0.10]'],
    'jsonb', array['null', '{}', '[]', '{"b": [1, -0.0, 1.50, 1e-20, null, true], "a": {"": "\u00e9\t\\"}}', '"\ud83d\ude80"', '123456789012345678901234567890.123456789'],
    'jsonpath', array['$', 'strict $.a[*] ? (@.b > 1 && @.c like_regex "^x" flag "i").d', '$."key with \"quotes\""'],
    'xml', array['', '<a b="c">text &amp; more</a>', '<?xml version="1.0"?><r><![CDATA[<raw>]]></r>', 'no element at all'],
    'point', array['(0,0)', '(-1.5e300,NaN)', '(Infinity,-Infinity)'],
    'lseg', array['[(0,0),(1,1)]', '[(-1,2.5),(-1,2.5)]'],
    'path', array['[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '((1,1))'],
    'box', array['(1,1),(0,0)', '(Infinity,2),(-Infinity,-2)'],
    'polygon', array['((0,0),(1,1),(2,0))', '((5,5))'],
    'line', array['{1,-1,0}', '{0,1,-2.5}'],
    'circle', array['<(0,0),0>', '<(1.5,-2),1e100>'],
    'float4', array['0', '-0', 'NaN', 'Infinity', '-Infinity', '1e-45', '3.4028235e38', '0.1'],
    'float8', array['0', '-0', 'NaN', 'Infinity', '-Infinity', '5e-324', '1.7976931348623157e308', '0.1', '0.30000000000000004'],
    'money', array['0', '-92233720368547758.08', '92233720368547758.07'],
    'macaddr', array['00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff', '08:00:2b:01:02:03'],
    'macaddr8', array['00:00:00:00:00:00:00:00', '08:00:2b:ff:fe:01:02:03'],
    'inet', array['0.0.0.0', '192.168.1.5/24', '::', '2001:db8::1/64', '::ffff:1.2.3.4'],
    'cidr', array['0.0.0.0/0', '10.0.0.0/8', '2001:db8::/32', '::1/128']
  ) || jsonb_build_object(
    'aclitem', array[format('%s=r*w/%s', quote_ident(current_user), quote_ident(current_user)), format('=r/%s', quote_ident(current_user))],
    'bpchar', array['', 'abc', 'trailing   ', E'\\'],
    'varchar', array['', 'abc', 'trailing   ', E'\t'],
    'date', array['2000-01-01', '4713-01-01 BC', '5874897-12-31', 'infinity', '-infinity', '0001-01-01', '0044-03-15 BC'],
    'time', array['00:00', '24:00:00', '23:59:59.999999'],
    'timestamp', array['2000-01-01', '4713-01-01 00:00:00 BC', '294276-12-31 23:59:59.999999', 'infinity', '-infinity', '1999-12-31 23:59:59.999999'],
    'timestamptz', array['2000-01-01 00:00:00+00', '4713-01-02 00:00:00+00 BC', '294276-12-31 23:59:59.999999+00', 'infinity', '-infinity', '2024-10-27 01:30:00+00'],
    'interval', case when since >= 170000 then array['infinity', '-infinity'] else array[]::text[] end
                || array['0', '1 year -2 mons +3 days -04:05:06.789', '178000000 years', '-178000000 years', '2147483647:59:54.775807', '-1 usec'],
    'timetz', array['00:00:00+00', '24:00:00-15:59:59', '23:59:59.999999+15:59:59', '12:00:00+05:30:15'],
    'bit', array['0', '1', '10101010101', repeat('01', 100)],
    'varbit', array['', '0', '10101010101'],
    'numeric', array['0', '0.000', '-0.1', 'NaN', 'Infinity', '-Infinity', '1e131071', '-1e-16383', '123456789012345678901234567890.0123456789', '1.50', '10000', '0.0001'],
    'refcursor', array['', 'a cursor'],
    'regproc', array['-', 'now', 'pg_catalog.boolin'],
    'regprocedure', array['-', 'lower(text)', 'now()'],
    'regoper', array['0', '||/'],
    'regoperator', array['0', '+(integer,integer)', '-(none,integer)'],
    'regclass', array['-', 'pg_class', 'information_schema.tables'],
    'regtype', array['-', 'integer', 'timestamp with time zone', 'text[]'],
    'regrole', array['-', current_user],
    'regnamespace', array['-', 'pg_catalog', 'information_schema'],
    'regconfig', array['-', 'english', 'simple'],
    'regdictionary', array['-', 'simple', 'english_stem'],
    'regcollation', array['-', '"C"', '"default"'],
    'tsvector', array['', '''a'':1A,2B,3C ''cat'':4', '''it''''s'' ''with space'' ''\\back'''],
    'tsquery', array['', '''a'':*A & !( ''b'' | ''c'' )', '''x'' <-> ''y'' <3> ''z'''],
    'uuid', array['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
    'txid_snapshot', array['10:20:10,14,15', '1:1:'],
    'pg_snapshot', array['10:20:10,14,15', '1:9223372036854775806:'],
    'pg_lsn', array['0/0', 'FFFFFFFF/FFFFFFFF', '16/B374D848']
  ) || jsonb_build_object(
    'int4range', array['empty', '(,)', '[1,5)', '[-2147483648,)'],
    'int8range', array['empty', '(,)', '(,9223372036854775807)'],
    'numrange', array['empty', '(,)', '[1.50,2.00]', '(NaN,)'],
    'tsrange', array['empty', '(,)', '[2000-01-01,infinity]', '(-infinity,2000-01-01 00:00:00.000001)'],
    'tstzrange', array['empty', '(,)', '[2000-01-01 00:00:00+00,2000-01-02 00:00:00+00)'],
    'daterange', array['empty', '(,)', '[0044-03-15 BC,2000-01-01)', '[,infinity]'],
    'int4multirange', array['{}', '{[1,3),[5,)}', '{(,)}'],
    'int8multirange', array['{}', '{[1,3),[5,)}'],
    'nummultirange', array['{}', '{(,1.0),[2.50,3.5]}'],
    'tsmultirange', array['{}', '{[2000-01-01,2000-01-02),[2001-01-01,)}'],
    'tstzmultirange', array['{}', '{(,2000-01-01 00:00:00+00)}'],
    'datemultirange', array['{}', '{[2000-01-01,2000-01-05),[2001-01-01,infinity)}']);
begin
  for kind in
    select t.oid, t.typname, t.typarray from pg_type t
    where t.typnamespace = 'pg_catalog'::regnamespace and t.typtype in ('b', 'e', 'd', 'r', 'm') and t.typelem = 0 and t.typisdefined
       or t.typnamespace = 'pg_catalog'::regnamespace and t.typname in ('int2vector', 'oidvector', 'point', 'lseg', 'box', 'line', 'name')
    order by t.typname
  loop
    execute format('create table zoo_types.%I (id integer primary key, v pg_catalog.%I%s)', 'type ' || kind.typname, kind.typname,
      case when kind.typarray <> 0 then format(', a pg_catalog.%I[]', kind.typname) else '' end);
    execute format('insert into zoo_types.%I (id) values (0)', 'type ' || kind.typname);
    n := 0;
    begin
      for value in select jsonb_array_elements_text(literals -> kind.typname) loop
        n := n + 1;
        execute format('insert into zoo_types.%I (id, v) values (%s, %L)', 'type ' || kind.typname, n, value);
      end loop;
      if kind.typname in ('int2vector', 'oidvector') then -- they are arrays in some eyes
        execute format('update zoo_types.%1$I set a = %2$L where id = 1', 'type ' || kind.typname, '[2:3]={"1 2",NULL}');
      elsif n > 0 and kind.typarray <> 0 then
        execute format('update zoo_types.%1$I set a = %2$L where id = 0; update zoo_types.%1$I set a = (select array_agg(v order by id desc) from zoo_types.%1$I) where id = 1; '
          'update zoo_types.%1$I t set a[-2:-1][7:7] = array[[v], [null::pg_catalog.%3$I]] where id = 2', 'type ' || kind.typname, '{}', kind.typname);
      end if;
    exception when feature_not_supported then
      raise notice 'this server cannot read a value of type %', kind.typname;
    end;
  end loop;
end $types$;
reset search_path;
