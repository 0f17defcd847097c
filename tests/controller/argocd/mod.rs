//! Migrations under Argo CD itself (`tests/cluster/argo-cd.sh`): its application controller and repository server apply what is committed to a Git server,
//! judge it by `deploy/gitops/argocd`, and act with the rights that their own installation gives them, under the chart's admission policies.

mod application;
mod failing;
mod gates;
mod git;
mod promotion;
mod pruning;
mod repository;
mod shop;
mod waves;
