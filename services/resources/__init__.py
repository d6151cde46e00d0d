"""Knows the hosts: what they are, how they join and leave, which of them are there, which ones a run is for.

Answers   resources.hosts.*, resources.groups.*, resources.targets.resolve, resources.join_tokens.*,
          resources.enrolment.*, resources.integrations.*; of agents: resources.credentials.renew
Hears     hb.*.*, hello.*.*
Announces resources.host
Owns      the collections hosts, groups, group_marks, join_tokens, challenges, revocations, account, integrations
"""
