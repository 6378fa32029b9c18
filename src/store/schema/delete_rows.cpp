// Rows whose addresses are known, gone.
#include "schema.hpp"

namespace sboxfs::schema {

const char kDeleteRows[] = R"sql(
-- Only the scan by address is left to the planner: of a table that has just grown it believes that reading all of a
-- tenant's rows and comparing each with the list is cheaper, which took 65,000 names 40 s. The tenant and the sandbox
-- are compared too, in case a row went meanwhile and its place was taken.
CREATE FUNCTION sboxfs.delete_rows(p_table regclass, p_tenant text, p_sandbox uuid, p_rows tid[]) RETURNS bigint
LANGUAGE plpgsql SET enable_seqscan = off SET enable_indexscan = off SET enable_bitmapscan = off AS $fn$
DECLARE
  deleted bigint := 0;
BEGIN
  IF cardinality(p_rows) > 0 THEN
    EXECUTE format('DELETE FROM %s WHERE ctid = ANY ($1) AND tenant = $2 AND sandbox = $3', p_table)
      USING p_rows, p_tenant, p_sandbox;
    GET DIAGNOSTICS deleted = ROW_COUNT;
  END IF;
  RETURN deleted;
END
$fn$;
)sql";

}  // namespace sboxfs::schema
