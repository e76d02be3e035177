-- Notes of proofs, not what they prove.
drop view audit_verifications, audit_anchors;
drop table gateway_audit_verifications, gateway_audit_anchors;
